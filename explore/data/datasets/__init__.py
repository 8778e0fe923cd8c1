"""The data sets that ``explore.data.load`` knows by name, one file each."""
