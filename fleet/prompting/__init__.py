"""What models are shown: prompts, warmup transcripts, examples, and untrusted text made inert."""
