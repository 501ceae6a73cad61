"""Long computations: in threads, in processes, or on a Dask cluster, through one function."""
