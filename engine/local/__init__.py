"""The local AWS: start it (`server`), fit the production template to it (`packaging`), deploy to it (`stack`)."""
