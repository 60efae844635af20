"""SparseFormer (arXiv 2304.03768) and Bootstrapped SparseFormer (arXiv 2312.01987): few tokens that look around."""
