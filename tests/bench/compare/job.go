package compare

// Job is one kind of load.
type Job struct {
	Name    string
	Pattern string // as fio calls it
	Block   string
	Depth   int
}

// Jobs returns the loads that block servers are compared by.
func Jobs() []Job {
	return []Job{
		{"4k random read, depth 32", "randread", "4k", 32},
		{"4k random write, depth 32", "randwrite", "4k", 32},
		{"4k random read, depth 1", "randread", "4k", 1},
		{"4k random write, depth 1", "randwrite", "4k", 1},
		{"128k read, depth 8", "read", "128k", 8},
		{"128k write, depth 8", "write", "128k", 8},
	}
}
