"""Every measurement, one after the other: ``python -m benchmarks.load``."""

from benchmarks.load import embeds, memory_estimate, pages, post_estimate

if __name__ == "__main__":
    memory_estimate.main()
    print()
    post_estimate.main()
    print()
    embeds.main()
    print()
    pages.main()
