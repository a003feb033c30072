"""Exports: long lists as files, made in the background, page by page, all of one moment."""
