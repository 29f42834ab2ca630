"""From a checkout to production: the images (`images`)."""
