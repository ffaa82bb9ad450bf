"""The services: a request and a catalogue snapshot in, a result out. Pages, REST and embeds call these and nothing below."""
