// Command explore searches the model of a parity set within bounds of your choice. It prints how many states
// there are, or the shortest history that breaks the contract.
//
//	go run ./tests/model/parity/explore                       2+1, 2 epochs, 1 write, 1 flush, 2 power cuts
//	go run ./tests/model/parity/explore -m 2 -cuts 1          2+2
//	go run ./tests/model/parity/explore -removes 1 -joins 1   with a leg that leaves and comes back
//	go run ./tests/model/parity/explore -writes 2 -concurrent -full    writes of chunks at once, and of whole stripes
//	go run ./tests/model/parity/explore -break commitLocal    break one rule, in bounds that show it
//	go run ./tests/model/parity/explore -break each           break every rule in turn
//	go run ./tests/model/parity/explore -break keptFew -keep -cuts 3   break a rule in the bounds given
//
// Exit status: 0 no violation (with -break each: every rule that should gave a violation), 1 a violation, or a
// rule that made no difference, 2 usage or a search that could not be finished.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/tests/model/parity"
)

const (
	exitOK = iota
	exitViolation
	exitFailed
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// order is what the command line asks for.
type order struct {
	bounds  parity.Bounds
	options parity.Options
	broken  string
	keep    bool
}

func parse(args []string, stderr io.Writer) (order, error) {
	var o order
	fs := flag.NewFlagSet("explore", flag.ContinueOnError)
	fs.SetOutput(stderr)
	b := &o.bounds
	fs.IntVar(&b.Data, "k", 2, "data legs, at most 3")
	fs.IntVar(&b.Parity, "m", 1, "parity legs, at most 2")
	fs.IntVar(&b.Epochs, "epochs", 2, "epochs, at most 3")
	fs.IntVar(&b.Writes, "writes", 1, "guest writes, at most 3")
	fs.IntVar(&b.Flushes, "flushes", 1, "guest flushes")
	fs.IntVar(&b.Cuts, "cuts", 2, "power cuts of single legs")
	fs.IntVar(&b.Removes, "removes", 0, "RemoveLeg in the middle of an epoch")
	fs.IntVar(&b.Joins, "joins", 0, "legs that come back")
	fs.BoolVar(&b.Sync, "sync", false, "durability class sync: what a leg answered is durable")
	fs.BoolVar(&b.Concurrent, "concurrent", false, "writes of different chunks may be in flight at once")
	fs.BoolVar(&b.Full, "full", false, "some writes are of the whole stripe")
	fs.BoolVar(&b.Fine, "fine", false, "only lost STAGE, DELTA and roll-back records make a leg lossy")
	fs.StringVar(&o.broken, "break", "", "rules to break, separated by commas; 'each': every one in turn")
	fs.BoolVar(&o.keep, "keep", false, "with -break: use the bounds given, not those known to show the rule")
	fs.IntVar(&o.options.TableBits, "table", 26, "states to remember, as a power of two; 12 bytes each")
	fs.IntVar(&o.options.Workers, "workers", 0, "how many search at once; 0: one for each processor")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	err := b.Validate()
	if fs.NArg() > 0 {
		err = errors.Join(err, fmt.Errorf("argument %q: all arguments are flags", fs.Arg(0)))
	}
	if err != nil {
		fmt.Fprintln(stderr, "explore:", err)
	}
	return o, err
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitFailed
	case o.broken == "each":
		return each(ctx, o, stdout, stderr)
	}
	var broken parity.Rules
	for _, name := range strings.FieldsFunc(o.broken, func(r rune) bool { return r == ',' }) {
		r, ok := parity.RuleByName(name)
		if !ok {
			fmt.Fprintf(stderr, "explore: no rule %q; there are:%s\n", name, ruleNames())
			return exitFailed
		}
		broken |= r.Rules
		if r.Shown != nil && !o.keep {
			o.bounds = *r.Shown
		}
	}
	return search(ctx, o.bounds, broken, o.options, stdout, stderr)
}

// search runs one search and prints its result, with the history if there is one.
func search(ctx context.Context, b parity.Bounds, broken parity.Rules, opt parity.Options,
	stdout, stderr io.Writer) int {
	fmt.Fprintln(stdout, b)
	start := time.Now()
	r, err := parity.Search(ctx, b, broken, opt)
	if err != nil {
		fmt.Fprintf(stderr, "explore: after %d states: %v\n", r.States, err)
		return exitFailed
	}
	fmt.Fprintf(stdout, "%s, %s\n", r, time.Since(start).Round(100*time.Millisecond))
	for i, step := range r.Trace {
		fmt.Fprintf(stdout, "%4d  %s\n", i+1, step)
	}
	switch {
	case r.Violated != "":
		return exitViolation
	case !r.Complete:
		return exitFailed
	}
	return exitOK
}

// each breaks every rule in turn, in the bounds that are known to show it.
func each(ctx context.Context, o order, stdout, stderr io.Writer) int {
	useless := 0
	for _, rule := range parity.AllRules() {
		if rule.Shown == nil {
			continue
		}
		r, err := parity.Search(ctx, *rule.Shown, rule.Rules, o.options)
		if err != nil {
			fmt.Fprintf(stderr, "explore: rule %s: %v\n", rule.Name, err)
			return exitFailed
		}
		fmt.Fprintf(stdout, "%-15s %-85s %s\n", rule.Name, rule.Shown, r)
		if r.Violated == "" {
			useless++
		}
	}
	if useless > 0 {
		fmt.Fprintf(stdout, "%d rules made no difference\n", useless)
		return exitViolation
	}
	return exitOK
}

func ruleNames() string {
	var s strings.Builder
	for _, r := range parity.AllRules() {
		s.WriteString(" " + r.Name)
	}
	return s.String()
}
