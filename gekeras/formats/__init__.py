"""What picture files mean: `pixels` of any of them, `tiff` pages and samples, `profiles` of color."""


class Refused(ValueError):
    """A file that is no picture here; the message is the reason alone, for a line that begins with the file's name."""
