"""The colours of the dock: those of the stain; everything else is the theme's."""

HEMATOXYLIN = "#6f52ad"
HEMATOXYLIN_LIGHT = "#8167c2"
HEMATOXYLIN_DARK = "#5b4194"
EOSIN = "#d6558b"

ERROR = "#d1495b"
ERROR_TINT = "rgba(209, 73, 91, 45)"
HINT = HEMATOXYLIN_LIGHT
HINT_TINT = "rgba(129, 103, 194, 40)"
