"""From layouts to images: requests, the rendering pipeline and tiling."""
