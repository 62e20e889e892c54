"""COVIDNext50, its layers, and where its weights come from."""
