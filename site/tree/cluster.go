package tree

import (
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/site"
	"github.com/holdfast-storage/holdfast/volume"
)

// clusterFile is global/cluster.yaml.
type clusterFile struct {
	Name          string         `yaml:"name"`
	OverProvision string         `yaml:"over_provision"`
	ReplaceAfter  string         `yaml:"replace_after"`
	Machines      machineFile    `yaml:"machines"`
	Volumes       volumeDefaults `yaml:"volumes"`
}

// volumeDefaults are what volumes have that do not say otherwise.
type volumeDefaults struct {
	Layout        string `yaml:"layout"`
	Durability    string `yaml:"durability"`
	UnflushedLoss string `yaml:"unflushed_loss"`
	Spread        string `yaml:"spread"`
	ScrubEvery    string `yaml:"scrub_every"`
}

// cluster reads what every node shares.
func (r *reader) cluster() clusterFile {
	file := path.Join(dirGlobal, fileCluster)
	r.known(dirGlobal, []string{fileCluster, fileImages})
	var f clusterFile
	if !r.fill(file, &f) {
		return f
	}
	c := site.Cluster{Name: f.Name, OverProvision: site.OverProvisionDefault}
	if err := volume.CheckName("cluster", f.Name); err != nil {
		r.place(file, guest.Faultf("name", "%v", err))
	}
	if f.OverProvision != "" {
		percent, err := strconv.Atoi(strings.TrimSuffix(f.OverProvision, "%"))
		if err != nil || percent < 1 {
			r.place(file, guest.Faultf("over_provision", "%q: want a percentage, as in 150%%", f.OverProvision))
		}
		c.OverProvision = percent
	}
	var err error
	if c.ReplaceAfter, err = replaceAfter("replace_after", f.ReplaceAfter); err != nil {
		r.place(file, err)
	}
	if _, err := f.Volumes.over(volumeFile{Size: "1M", Name: "x"}).volume("volumes"); err != nil {
		r.place(file, err)
	}
	if _, err := f.Machines.machine("machines"); err != nil {
		r.place(file, err)
	}
	r.site.Cluster = c
	return f
}

// wordNever stands for a time that does not come.
const wordNever = "never"

// replaceAfter reads a time after which a leg is replaced.
func replaceAfter(field, text string) (site.After, error) {
	switch text {
	case "":
		return site.After{}, nil
	case wordNever:
		return site.After{Never: true}, nil
	}
	d, err := wholeSeconds(field, text)
	return site.After{Time: d}, err
}

// wholeSeconds reads a time, which the coordinators keep in whole seconds.
func wholeSeconds(field, text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second || d%time.Second != 0 {
		return 0, guest.Faultf(field, "%q: want whole seconds, as in 30s, 10m or 720h, or %s", text, wordNever)
	}
	return d, nil
}
