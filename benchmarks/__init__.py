"""What seglens costs, and whether its maps agree, beside Captum and pytorch-grad-cam: `python -m benchmarks`."""
