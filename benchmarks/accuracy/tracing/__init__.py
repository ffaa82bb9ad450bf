"""Trace the memory of a real training step on fake CUDA tensors: no GPU, no weights, no data.

The step is the real one (Transformers model, PEFT adapters, bitsandbytes quantisation, PyTorch autograd and
optimizers); only the storage is missing. Every operator is seen by a dispatch mode which keeps the exact number of live
bytes, so the peak is what `torch.cuda.max_memory_allocated()` would report for everything that PyTorch allocates.

    python -m benchmarks.accuracy.tracing run --cases dense --out dense.jsonl
    python -m benchmarks.accuracy.tracing explain --case '{"config": {"model_type": "llama"}, "method": "lora"}'

Needs `requirements-trace.txt` (the CPU build of PyTorch) and, once, a C++ compiler. This package imports nothing heavy
by itself, so that the case lists can be read without PyTorch.
"""
