package api

// Disk is what a storage node knows of the disk below a store.
type Disk struct {
	Device       string   `json:"device" doc:"sda, nvme0n1; empty if it is not known"`
	FailedChecks uint64   `json:"failed_checks" doc:"that ended with an I/O error, since the daemon's start"`
	KernelErrors uint64   `json:"kernel_errors" doc:"that the kernel counted since then, where it counts them"`
	ReadMicros   int64    `json:"read_micros" doc:"median of the last check reads"`
	UsualMicros  int64    `json:"usual_micros" doc:"what they took before; 0 while too few were seen"`
	Model        string   `json:"model,omitempty"`
	Smart        string   `json:"smart" doc:"well, worn or failing; or, in words, why it is not there"`
	Faults       []string `json:"faults,omitempty" doc:"what the drive says of itself, the worst first"`
	TemperatureC int      `json:"temperature_c,omitempty"`
	WearPercent  int      `json:"wear_percent,omitempty" doc:"of its life that is used up"`
}
