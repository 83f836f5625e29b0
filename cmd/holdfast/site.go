package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/site/apply"
	"github.com/holdfast-storage/holdfast/site/plan"
	"github.com/holdfast-storage/holdfast/site/tree"
)

// exitChanges is the exit code of plan and apply when something is left to be done.
const exitChanges = 2

// siteHelp says what a site is.
const siteHelp = `A site is a directory of files, normally a checkout of a version control system:

  global/cluster.yaml              what every node shares: name, over_provision, replace_after, defaults
  global/images.yaml               versions of images: digest, and a file to add each from; may be absent
  pservers/NAME/node.yaml          one physical server: location, and what ` + "`node bootstrap`" + ` needs there
  pservers/NAME/domUs/GUEST.yaml   a guest whose home it is, as ` + "`domain define -f`" + ` reads it
  vservers/NAME/guest.yaml         one guest: state (running, stopped, as_it_is) and volumes
  vservers/NAME/files/, docs/      yours: they are not read

docs/operations.md lists every field, examples/site is one. A file or field that is unknown is an error with its
place.`

// siteFlags are the flags of plan and apply.
type siteFlags struct {
	dir   string
	allow plan.Allow
}

func (f *siteFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.dir, "file", "f", "", "directory of the site (required)")
	flags.StringSliceVar(&f.allow.Restart, "restart", nil, "domains that may be stopped and started to be changed")
	flags.BoolVar(&f.allow.RestartAll, "restart-all", false, "all of them may be")
	flags.BoolVar(&f.allow.Prune, "prune", false, "delete stopped domains that the site does not have")
	flags.StringSliceVar(&f.allow.DeleteVolumes, "delete-volume", nil,
		"with --prune, volumes that the site does not have and whose data is to be deleted")
}

// options reads the site and returns what is to be done to the cluster.
func (f *siteFlags) options(c *connection) (apply.Options, error) {
	switch {
	case f.dir == "":
		return apply.Options{}, usagef("-f is missing: in which directory is the site?")
	case len(f.allow.DeleteVolumes) > 0 && !f.allow.Prune:
		return apply.Options{}, usagef("--delete-volume destroys data: give --prune with it")
	}
	s, err := tree.ReadDir(f.dir)
	if err != nil {
		return apply.Options{}, err
	}
	client, err := c.client()
	return apply.Options{Site: s, Client: client, Allow: f.allow}, err
}

func newPlan(c *connection) *cobra.Command {
	var f siteFlags
	cmd := &cobra.Command{
		Use:   "plan -f DIR",
		Short: "Say what differs between a site's files and the cluster",
		Long: siteHelp + "\n\nThis prints what `holdfast apply` would do, and changes nothing. Exit code 0: nothing\n" +
			"is to be done; 2: something is; 1: it could not be found out, or the site wants what cannot be.",
		Example: "  holdfast plan -f /srv/site\n" +
			"  holdfast plan -f /srv/site --restart web1 -o json",
		Args: args(cobra.NoArgs),
	}
	f.add(cmd)
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o, err := f.options(c)
		if err != nil {
			return err
		}
		p, err := apply.Plan(cmd.Context(), o)
		if err != nil {
			return err
		}
		err = out.print(cmd.OutOrStdout(), p, func(t *table) { sitePlanRows(t, p) })
		switch {
		case err != nil:
			return err
		case len(p.Conflicts) > 0:
			return exitError{exitFailed}
		case len(p.Steps) > 0:
			return exitError{exitChanges}
		}
		return nil
	}
	return cmd
}

func newApply(c *connection) *cobra.Command {
	var f siteFlags
	var revision string
	cmd := &cobra.Command{
		Use:   "apply -f DIR",
		Short: "Make the cluster what a site's files say",
		Long: siteHelp + "\n\nThis does what `holdfast plan` prints, step by step; what is held is left. Before\n" +
			"each step it looks whether anything changed that matters; then it ends and says so. Interrupted, the\n" +
			"same command goes on. No guest that is to run is stopped, unless --restart names it, and no volume is\n" +
			"deleted, unless it is named. Exit code 0: all is as the site says; 2: something is left; 1: it failed.",
		Example: "  holdfast apply -f /srv/site\n" +
			"  holdfast apply -f /srv/site --revision 5c0e92d1b7aa     # only if the plan still is that one\n" +
			"  holdfast apply -f /srv/site --restart web1,web2\n" +
			"  holdfast apply -f /srv/site --prune --delete-volume scratch",
		Args: args(cobra.NoArgs),
	}
	f.add(cmd)
	cmd.Flags().StringVar(&revision, "revision", "",
		"of the plan that was looked at: do nothing if it is another one now")
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o, err := f.options(c)
		if err != nil {
			return err
		}
		o.Revision = revision
		o.Begun = func(s plan.Step) { fmt.Fprintln(cmd.ErrOrStderr(), stepLine(s)) }
		result, err := apply.Run(cmd.Context(), o)
		if err != nil {
			if len(result.Done) > 0 {
				err = fmt.Errorf("%w\nsteps that were done: %d; the same command goes on", err, len(result.Done))
			}
			return err
		}
		err = out.print(cmd.OutOrStdout(), result, func(t *table) { appliedRows(t, result) })
		if err == nil && len(result.Left.Steps) > 0 {
			return exitError{exitChanges}
		}
		return err
	}
	return cmd
}

// sitePlanRows prints a plan.
func sitePlanRows(t *table, p plan.Plan) {
	if len(p.Steps) == 0 && len(p.Conflicts) == 0 {
		t.row("Nothing is to be done: cluster " + p.Cluster + " is what the site says.")
	} else {
		t.row(fmt.Sprintf("To be done to cluster %s (revision %s):", p.Cluster, p.Revision))
	}
	if len(p.Steps) > 0 {
		t.row()
		t.row("STEP", "OBJECT", "WHAT", "LOSES", "WAITS FOR")
		for _, s := range p.Steps {
			t.row(s.Kind, s.Object, orDash(stepWords(s)), orDash(s.Loses), orDash(s.Held))
		}
	}
	for _, k := range p.Conflicts {
		t.row()
		t.row("Cannot be: " + k.Object + ": " + changeWords(k.Changes) + ".")
		t.row("  " + k.Hint + ".")
	}
	if len(p.Others) > 0 {
		t.row()
		t.row("NOT IN THE SITE", "STAYS AS IT IS")
		for _, o := range p.Others {
			t.row(o.Object, o.Note)
		}
	}
}

// appliedRows prints what was done.
func appliedRows(t *table, r apply.Result) {
	t.row(fmt.Sprintf("Steps that were done: %d.", len(r.Done)))
	t.row()
	sitePlanRows(t, r.Left)
}

// stepLine says in one line what is done now.
func stepLine(s plan.Step) string {
	return strings.TrimSpace(fmt.Sprintf("%s %s: %s", s.Kind, s.Object, stepWords(s)))
}

func stepWords(s plan.Step) string {
	words := changeWords(s.Changes)
	if s.Note == "" || words == "" {
		return s.Note + words
	}
	return s.Note + "; " + words
}

func changeWords(changes []plan.Change) string {
	words := make([]string, len(changes))
	for i, c := range changes {
		words[i] = fmt.Sprintf("%s: %s → %s", c.Field, c.From, c.To)
	}
	return strings.Join(words, "; ")
}
