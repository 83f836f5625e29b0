package apply

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/holdfast-storage/holdfast/site"
	"github.com/holdfast-storage/holdfast/site/plan"
)

// Options say what is to be done to what.
type Options struct {
	Site   *site.Site
	Client Client
	Allow  plan.Allow
	// Revision is that of the plan which somebody has seen; empty takes any.
	Revision string
	// Begun is called before each step; nil calls nobody.
	Begun func(plan.Step)
}

// Result is what became of it.
type Result struct {
	Done []plan.Step `json:"done"`
	Left plan.Plan   `json:"left"` // what is to be done now
}

// Plan makes the plan of what is to be done now.
func Plan(ctx context.Context, o Options) (plan.Plan, error) {
	actual, err := Look(ctx, o.Client, o.Site)
	if err != nil {
		return plan.Plan{}, err
	}
	return plan.Make(o.Site, actual, o.Allow)
}

// Run does everything that is not held. The result tells what was done, also when there is an error.
func Run(ctx context.Context, o Options) (Result, error) {
	result := Result{Done: []plan.Step{}}
	p, err := Plan(ctx, o)
	if err != nil {
		return result, err
	}
	result.Left = p
	if o.Revision != "" && o.Revision != p.Revision {
		return result, fmt.Errorf("what is to be done is not what plan %s says any more, but plan %s: the site or the "+
			"cluster has changed, or other things are allowed; look at `holdfast plan` again", o.Revision, p.Revision)
	}
	if err := conflicts(p); err != nil {
		return result, err
	}
	steps := p.Open()
	for i, s := range steps {
		if i > 0 { // the first look is a moment old
			if result.Left, err = Plan(ctx, o); err != nil {
				return result, err
			}
			if s, err = still(result.Left, steps[i:]); err != nil {
				return result, err
			}
		}
		if o.Begun != nil {
			o.Begun(s)
		}
		if err := do(ctx, o.Client, s); err != nil {
			return result, err
		}
		result.Done = append(result.Done, s)
	}
	result.Left, err = Plan(ctx, o)
	return result, err
}

// conflicts returns an error that names everything which cannot be made as the site says.
func conflicts(p plan.Plan) error {
	var errs []error
	for _, c := range p.Conflicts {
		var words []string
		for _, d := range c.Changes {
			words = append(words, fmt.Sprintf("%s is %s, the site says %s", d.Field, d.From, d.To))
		}
		errs = append(errs, fmt.Errorf("%s: %s: %s", c.Object, strings.Join(words, "; "), c.Hint))
	}
	return errors.Join(errs...)
}

// still returns the first of the steps that are left as the newest plan has it, if that has all of them, in their
// order.
func still(now plan.Plan, left []plan.Step) (plan.Step, error) {
	open := now.Open()
	var first plan.Step
	at := 0
	for i, s := range left {
		for at < len(open) && !same(s, open[at]) {
			at++
		}
		if at == len(open) {
			return first, fmt.Errorf("%s %s was planned, and is not what is to be done now: something has "+
				"changed meanwhile; nothing more was done, look at `holdfast plan` again", s.Kind, s.Object)
		}
		if i == 0 {
			first = open[at]
		}
		at++
	}
	return first, nil
}

// same reports whether two steps are one. An object that was made since has an id by now.
func same(planned, now plan.Step) bool {
	if planned.ID == "" {
		planned.ID = now.ID
	}
	return reflect.DeepEqual(planned, now)
}
