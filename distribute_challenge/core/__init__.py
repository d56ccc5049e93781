"""What a call is at each stage of its way: plain values that do no input or output of their own."""
