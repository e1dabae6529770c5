"""Kernels as LLVM code: imported only when the cache lacks one. Each function emits one kernel."""
