# Source this to compute as a processor with AVX2 but without AVX-512 does, on one that has both:
# PyTorch, its oneDNN, OpenBLAS and Numba then choose the code for that processor.
export ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 OPENBLAS_CORETYPE="${OPENBLAS_CORETYPE:-Haswell}"
export NUMBA_CPU_NAME=haswell
NUMBA_CPU_FEATURES="+64bit,+avx,+avx2,+bmi,+bmi2,+cmov,+cx16,+cx8,+f16c,+fma,+fxsr,+lzcnt,+mmx,+movbe,+popcnt"
export NUMBA_CPU_FEATURES="$NUMBA_CPU_FEATURES,+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+xsave,+xsaveopt"
NUMBA_CACHE_DIR="$(mktemp -d)"
export NUMBA_CACHE_DIR
