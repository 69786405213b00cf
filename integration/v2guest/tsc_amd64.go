package v2guest

// rdtsc reads the processor's time stamp counter.
func rdtsc() uint64
