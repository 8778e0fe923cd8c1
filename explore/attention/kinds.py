"""The kinds of class activation maps by name; no torch is imported."""

CAM_KINDS = ("gradcam", "hirescam", "layercam", "gradcam++", "smoothgradcam++")

KIND_HELP = "kind of map: " + ", ".join(CAM_KINDS)
"""The help of options that choose a kind."""
