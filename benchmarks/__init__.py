"""Speed and memory, side by side with the plain recipe, as ratios: python3 -m benchmarks -h."""
