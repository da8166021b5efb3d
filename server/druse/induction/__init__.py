"""From runs of one workflow to a Procedure, and from a Procedure to Python source. Pure: no I/O, no clock."""
