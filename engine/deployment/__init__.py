"""From a checkout to production: images (`images`), repositories (`registry`), stacks by change sets (`stacks`)."""
