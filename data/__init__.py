"""Raw sources -> records -> images -> split -> tensors."""
