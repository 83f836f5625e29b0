package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/volume"
)

func newDomain(c *connection) *cobra.Command {
	cmd := group("domain", "Define, start, stop and move guests (domUs)")
	cmd.AddCommand(domainDefine(c), domainList(c), domainShow(c),
		domainStart(c), domainStop(c), domainFailover(c), domainDelete(c))
	return cmd
}

func domainDefine(c *connection) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "define -f FILE",
		Short: "Define a domain from a YAML or JSON file",
		Long: "Define a domain, or change one that is stopped. Unknown fields are errors.\n\n" +
			"  name: web1\n  driver: exec\n" +
			"  exec: {command: [/usr/local/bin/guest, --disk, $HOLDFAST_VOLUME_ROOT_URL]}\n" +
			"  volumes: [{name: root}]\n  hosts: [h1, h2]          # in order of preference\n" +
			"  anti_affinity: web       # kept off hosts of the group's other members while there is a choice",
		Example: "  holdfast domain define -f web1.yaml",
		Args:    args(cobra.NoArgs),
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "the definition, - for standard input (required)")
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if file == "" {
			return usagef("-f is missing: which file defines the domain?")
		}
		spec, err := readDomainSpec(file, cmd.InOrStdin())
		if err != nil {
			return err
		}
		client, err := c.client()
		if err != nil {
			return err
		}
		d, err := client.DefineDomain(cmd.Context(), spec)
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), d, func(t *table) { domainRows(t, []api.Domain{d}) })
	}
	return cmd
}

// readDomainSpec reads one definition; a field it does not know is an error with its line.
func readDomainSpec(file string, stdin io.Reader) (api.DomainSpec, error) {
	var text []byte
	var err error
	if file == "-" {
		file = "standard input"
		text, err = io.ReadAll(stdin)
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return api.DomainSpec{}, fmt.Errorf("read the definition: %w", err)
	}
	var spec domainFile
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&spec); errors.Is(err, io.EOF) {
		return api.DomainSpec{}, fmt.Errorf("%s holds no definition; "+
			"`holdfast domain define --help` shows one", file)
	} else if err != nil {
		return api.DomainSpec{}, fmt.Errorf("%s: %s", file, yamlFaults(err))
	}
	if err := decoder.Decode(new(domainFile)); !errors.Is(err, io.EOF) {
		return api.DomainSpec{}, fmt.Errorf("%s: holds more than one definition", file)
	}
	if err := volume.CheckName("domain", spec.Name); err != nil {
		return api.DomainSpec{}, fmt.Errorf("%s: %w", file, err)
	}
	if spec.Driver == "" {
		return api.DomainSpec{}, fmt.Errorf("%s: domain %s names no driver: add one, as in driver: exec",
			file, spec.Name)
	}
	return spec.spec(), nil
}

// yamlFaults words what a decoder found wrong for somebody who has never seen this program's types.
func yamlFaults(err error) string {
	var faults *yaml.TypeError
	if !errors.As(err, &faults) {
		return err.Error()
	}
	lines := make([]string, len(faults.Errors))
	for i, fault := range faults.Errors {
		lines[i] = fault
		if before, _, unknown := strings.Cut(fault, " not found in type "); unknown {
			lines[i] = before + " is unknown"
		}
	}
	return strings.Join(lines, "; ")
}

// domainFile is a definition as it stands in a file.
type domainFile struct {
	Name   string `yaml:"name"`
	Driver string `yaml:"driver"`
	Exec   *struct {
		Command []string `yaml:"command"`
	} `yaml:"exec"`
	Volumes []struct {
		Name string `yaml:"name"`
	} `yaml:"volumes"`
	Hosts        []string `yaml:"hosts"`
	AntiAffinity string   `yaml:"anti_affinity"`
}

func (f domainFile) spec() api.DomainSpec {
	s := api.DomainSpec{Name: f.Name, Driver: f.Driver, Volumes: []api.DomainVolume{}, Hosts: f.Hosts,
		AntiAffinity: f.AntiAffinity}
	if f.Exec != nil {
		s.Exec = &api.ExecSpec{Command: f.Exec.Command}
	}
	for _, v := range f.Volumes {
		s.Volumes = append(s.Volumes, api.DomainVolume{Name: v.Name})
	}
	if s.Hosts == nil {
		s.Hosts = []string{}
	}
	return s
}

func domainRows(t *table, domains []api.Domain) {
	t.row("NAME", "STATE", "HOST", "PID", "DRIVER", "VOLUMES", "ERROR")
	for _, d := range domains {
		names := make([]string, len(d.Spec.Volumes))
		for i, v := range d.Spec.Volumes {
			names[i] = v.Name
		}
		t.row(d.Name, d.State, orDash(d.Host), d.PID, d.Spec.Driver, orDash(strings.Join(names, ",")), d.Error)
	}
}

func domainList(c *connection) *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the domains", Example: "  holdfast domain list", Args: args(cobra.NoArgs),
	}
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		domains, err := client.Domains(cmd.Context())
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), domains, func(t *table) { domainRows(t, domains) })
	}
	return cmd
}

// domainVerb builds a command that does one thing to one domain and prints the domain.
func domainVerb(use, short, long, example string, flags func(*cobra.Command),
	do func(*cobra.Command, string) (api.Domain, error)) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Example: example, Args: args(cobra.ExactArgs(1))}
	if flags != nil {
		flags(cmd)
	}
	out := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		d, err := do(cmd, list[0])
		if err != nil {
			return err
		}
		return out.print(cmd.OutOrStdout(), d, func(t *table) {
			domainRows(t, []api.Domain{d})
			domainOperation(t, []api.Domain{d})
		})
	}
	return cmd
}

func domainShow(c *connection) *cobra.Command {
	return domainVerb("show NAME", "Show one domain", "", "  holdfast domain show web1 -o json", nil,
		func(cmd *cobra.Command, name string) (api.Domain, error) {
			client, err := c.client()
			if err != nil {
				return api.Domain{}, err
			}
			return client.Domain(cmd.Context(), name)
		})
}

func domainStart(c *connection) *cobra.Command {
	var r api.Wait
	return domainVerb("start NAME", "Start a domain on the first of its hosts that lives",
		"Attach the domain's volumes to a host and start it there. Returns when it runs.",
		"  holdfast domain start web1", func(cmd *cobra.Command) { addNoWait(cmd, &r.NoWait) },
		func(cmd *cobra.Command, name string) (api.Domain, error) {
			client, err := c.client()
			if err != nil {
				return api.Domain{}, err
			}
			return client.StartDomain(cmd.Context(), name, r)
		})
}

func domainStop(c *connection) *cobra.Command {
	var r api.Wait
	return domainVerb("stop NAME", "Stop a domain and detach its volumes", "", "  holdfast domain stop web1",
		func(cmd *cobra.Command) { addNoWait(cmd, &r.NoWait) },
		func(cmd *cobra.Command, name string) (api.Domain, error) {
			client, err := c.client()
			if err != nil {
				return api.Domain{}, err
			}
			return client.StopDomain(cmd.Context(), name, r)
		})
}

func domainFailover(c *connection) *cobra.Command {
	var r api.FailoverDomain
	cmd := domainVerb("failover NAME", "Move a domain to another host now",
		"Take the domain's volumes over on another host, which fences the old one, and start the domain there.\n"+
			"The guest on the old host is killed; what it had not flushed may be lost, as when power fails.",
		"  holdfast domain failover web1 --to h2", func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&r.To, "to", "", "the host; default: the next of its hosts that lives")
			addNoWait(cmd, &r.NoWait)
		},
		func(cmd *cobra.Command, name string) (api.Domain, error) {
			client, err := c.client()
			if err != nil {
				return api.Domain{}, err
			}
			return client.FailoverDomain(cmd.Context(), name, r)
		})
	addWhatIf(cmd, c, func(list []string) api.PlanRequest {
		return api.PlanRequest{Verb: api.PlanDomainFailover, Name: list[0], Host: r.To}
	})
	return cmd
}

func domainDelete(c *connection) *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Forget a stopped domain; its volumes stay",
		Example: "  holdfast domain delete web1",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, list []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			return client.DeleteDomain(cmd.Context(), list[0])
		},
	}
}
