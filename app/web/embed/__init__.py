"""Everything that stands on other sites: framed widgets, fragments, badges, charts, order links, and their builder."""
