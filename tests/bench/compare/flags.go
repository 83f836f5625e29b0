package compare

import (
	"errors"
	"flag"
	"fmt"
	"strings"
)

// Flags are the command line of a program that raises what it measures.
type Flags struct {
	Program string // that is measured
	Dir     string // an empty directory for everybody's files
	Out     string // file that takes the figures as JSON; empty writes none
	Commit  string // of the program, for the record
	Load    Load
	Rounds  int // runs of each job on each server, at least one
	Jobs    []Job
}

// ParseFlags reads a command line without the name of the program. It prints what is wrong to standard error and
// returns it; flag.ErrHelp if it was asked for help, which is printed.
func ParseFlags(name string, args []string) (Flags, error) {
	var f Flags
	var only string
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	set.StringVar(&f.Program, "holdfast", "", "the program that is measured (required)")
	set.StringVar(&f.Dir, "dir", "", "an empty directory for everybody's files (required)")
	set.StringVar(&f.Commit, "commit", "", "of the program, for the record")
	set.StringVar(&f.Out, "out", "", "file that takes the figures as JSON; empty writes none")
	set.StringVar(&f.Load.NBD, "fio", "fio", "the fio, which has the nbd engine")
	set.IntVar(&f.Load.Seconds, "seconds", 3, "length of a run")
	set.StringVar(&f.Load.Size, "size", "200m", "how much of each volume is used")
	set.IntVar(&f.Rounds, "rounds", 3, "runs of each job on each")
	set.StringVar(&only, "only", "", "measure only the jobs whose name has this")
	if err := set.Parse(args); err != nil {
		return f, err
	}
	err := f.check(set.Args())
	if err == nil {
		f.Jobs, err = selected(only)
	}
	if err != nil {
		fmt.Fprintf(set.Output(), "%s: %v\n", name, err)
	}
	return f, err
}

func (f Flags) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%q: there are flags only", rest[0])
	case f.Program == "" || f.Dir == "":
		return errors.New("-holdfast and -dir are needed")
	case f.Rounds < 1 || f.Load.Seconds < 1:
		return fmt.Errorf("-rounds %d -seconds %d: want one or more of each", f.Rounds, f.Load.Seconds)
	}
	return nil
}

// selected returns the jobs whose name has a text.
func selected(text string) ([]Job, error) {
	var jobs []Job
	for _, j := range Jobs() {
		if strings.Contains(j.Name, text) {
			jobs = append(jobs, j)
		}
	}
	if len(jobs) == 0 {
		return nil, fmt.Errorf("-only %q: no job has that in its name", text)
	}
	return jobs, nil
}
