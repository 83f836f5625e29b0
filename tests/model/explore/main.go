// Command explore searches the protocol's model within bounds of your choice. It prints how many
// states there are, or the shortest history that breaks the contract.
//
//	go run ./tests/model/explore                          class flush, 2 legs, 2 epochs, 1 write
//	go run ./tests/model/explore -writes 2 -maxcfg 3      one of the runs of docs/safety/model.md
//	go run ./tests/model/explore -class sync -maxcfg 5
//	go run ./tests/model/explore -break noBump            break one rule, in bounds that show it
//	go run ./tests/model/explore -break each              break every rule in turn
//	go run ./tests/model/explore -break noBump,noCAS -maxcfg 5 -keep   break some in the bounds given
//
// Exit status: 0 no violation (with -break each: every rule that should gave a violation), 1 a
// violation, or a rule that made no difference, 2 usage or a search that could not be finished.
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

	"github.com/holdfast-storage/holdfast/tests/model"
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
	bounds  model.Bounds
	options model.Options
	broken  string
	keep    bool
}

func parse(args []string, stderr io.Writer) (order, error) {
	var o order
	var class string
	fs := flag.NewFlagSet("explore", flag.ContinueOnError)
	fs.SetOutput(stderr)
	b := &o.bounds
	fs.StringVar(&class, "class", "flush", "durability class: flush or sync")
	fs.IntVar(&b.Legs, "legs", 2, "legs, at most 3")
	fs.IntVar(&b.Epochs, "epochs", 2, "epochs, at most 3")
	fs.IntVar(&b.Writes, "writes", 1, "guest writes, at most 3")
	fs.IntVar(&b.MaxCfg, "maxcfg", 3, "highest configuration version")
	fs.IntVar(&b.Flushes, "flushes", 1, "guest flushes, in class flush")
	fs.IntVar(&b.Cuts, "cuts", 1, "power cuts of single legs")
	fs.BoolVar(&b.Accept, "accept", false, "policy unflushed_loss is accept")
	fs.BoolVar(&b.Operator, "operator", false, "the operator removes legs")
	fs.BoolVar(&b.Restore, "restore", false, "the coordinator is restored from a backup")
	fs.BoolVar(&b.Duplicates, "duplicates", false, "a RemoveLeg arrives a second time")
	fs.StringVar(&o.broken, "break", "", "rules to break, separated by commas; 'each': every one in turn")
	fs.BoolVar(&o.keep, "keep", false, "with -break: use the bounds given, not those known to show the rule")
	fs.IntVar(&o.options.TableBits, "table", 26, "states to remember, as a power of two; 12 bytes each")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	c, err := model.ParseClass(class)
	b.Class = c
	if err == nil {
		err = b.Validate()
	}
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
	var broken model.Rules
	for _, name := range strings.FieldsFunc(o.broken, func(r rune) bool { return r == ',' }) {
		r, ok := model.RuleByName(name)
		if !ok {
			fmt.Fprintf(stderr, "explore: no rule %q; there are:%s\n", name, ruleNames())
			return exitFailed
		}
		broken |= r.Rules
		if b, ok := shown(r, o.bounds.Class); ok && !o.keep {
			o.bounds = b
		}
	}
	return search(ctx, o.bounds, broken, o.options, stdout, stderr)
}

// search runs one search and prints its result, with the history if there is one.
func search(ctx context.Context, b model.Bounds, broken model.Rules, opt model.Options, stdout, stderr io.Writer) int {
	fmt.Fprintln(stdout, b)
	start := time.Now()
	r, err := model.Search(ctx, b, broken, opt)
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

// each breaks every rule in turn, in the bounds that are known to show it in this class.
func each(ctx context.Context, o order, stdout, stderr io.Writer) int {
	useless := 0
	for _, rule := range model.AllRules() {
		b, ok := shown(rule, o.bounds.Class)
		if !ok {
			continue
		}
		r, err := model.Search(ctx, b, rule.Rules, o.options)
		if err != nil {
			fmt.Fprintf(stderr, "explore: rule %s: %v\n", rule.Name, err)
			return exitFailed
		}
		fmt.Fprintf(stdout, "%-15s %-75s %s\n", rule.Name, b, r)
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

// shown returns the bounds in which a rule's break shows in a class.
func shown(r model.Rule, c model.Class) (model.Bounds, bool) {
	for _, b := range r.Shown {
		if b.Class == c {
			return b, true
		}
	}
	return model.Bounds{}, false
}

func ruleNames() string {
	var s strings.Builder
	for _, r := range model.AllRules() {
		s.WriteString(" " + r.Name)
	}
	return s.String()
}
