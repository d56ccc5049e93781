"""What a call is at each stage: plain values that do no input or output."""
