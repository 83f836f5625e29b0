package apply

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/volume"
)

// fake is a cluster in memory that refuses what the coordinators refuse. Before each change it calls meddle, which may
// change it, or refuse in its place.
type fake struct {
	cluster api.Cluster
	nodes   []api.Node
	volumes []api.Volume
	domains []api.Domain
	images  []api.Image
	meddle  func() error
	calls   []string
	serial  int
}

func newFake(nodes ...string) *fake {
	f := &fake{cluster: api.Cluster{Name: "prod", OverProvision: 100, ReplaceAfter: api.ReplaceAfter{From: "default"}}}
	for _, name := range nodes {
		f.nodes = append(f.nodes, api.Node{ID: "id-" + name, Name: name, State: api.NodeUp})
	}
	return f
}

func (f *fake) change(format string, args ...any) error {
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	if f.meddle == nil {
		return nil
	}
	return f.meddle()
}

func (f *fake) Cluster(context.Context) (api.Cluster, error) { return f.cluster, nil }

func (f *fake) Nodes(context.Context) ([]api.Node, error) { return slices.Clone(f.nodes), nil }

func (f *fake) Volumes(context.Context) ([]api.Volume, error) { return slices.Clone(f.volumes), nil }

func (f *fake) Domains(context.Context) ([]api.Domain, error) { return slices.Clone(f.domains), nil }

func (f *fake) volume(name string) *api.Volume {
	for i := range f.volumes {
		if f.volumes[i].Name == name || f.volumes[i].ID == name {
			return &f.volumes[i]
		}
	}
	return nil
}

func (f *fake) domain(name string) *api.Domain {
	for i := range f.domains {
		if f.domains[i].Name == name {
			return &f.domains[i]
		}
	}
	return nil
}

func (f *fake) node(name string) *api.Node {
	for i := range f.nodes {
		settled := f.nodes[i].State != api.NodePending && f.nodes[i].State != api.NodeRetiring
		if f.nodes[i].ID == name || f.nodes[i].Name == name && settled {
			return &f.nodes[i]
		}
	}
	return nil
}

func (f *fake) SetCluster(_ context.Context, r api.SetCluster) (api.Cluster, error) {
	if err := f.change("set cluster"); err != nil {
		return api.Cluster{}, err
	}
	f.cluster.OverProvision = *r.OverProvision
	return f.cluster, nil
}

func (f *fake) SetReplaceAfter(_ context.Context, r api.SetReplaceAfter) (api.ReplaceAfter, error) {
	if err := f.change("replace after %s", r.Volume); err != nil {
		return api.ReplaceAfter{}, err
	}
	into, from := &f.cluster.ReplaceAfter, "cluster"
	if r.Volume != "" {
		into, from = &f.volume(r.Volume).ReplaceAfter, "volume"
	}
	*into = api.ReplaceAfter{Seconds: r.Seconds, Never: r.Never, From: from}
	if r.Seconds == 0 && !r.Never {
		into.From = "default"
	}
	return *into, nil
}

func (f *fake) SetNode(_ context.Context, name string, r api.SetNode) (api.Node, error) {
	if err := f.change("set node %s", name); err != nil {
		return api.Node{}, err
	}
	n := f.node(name)
	n.Zone, n.Rack = *r.Zone, *r.Rack
	return *n, nil
}

func (f *fake) ReplaceNode(_ context.Context, old string, r api.ReplaceNode, _ func(api.Operation) error) error {
	if err := f.change("replace node %s", old); err != nil {
		return err
	}
	f.node(r.New).State = api.NodeUp
	f.node(old).State = api.NodeRetiring
	return nil
}

func (f *fake) CreateVolume(_ context.Context, r api.CreateVolume) (api.Volume, error) {
	if err := f.change("create volume %s", r.Name); err != nil {
		return api.Volume{}, err
	}
	if f.volume(r.Name) != nil {
		return api.Volume{}, fmt.Errorf("volume %s exists already", r.Name)
	}
	f.serial++
	v := api.Volume{ID: fmt.Sprintf("v%d", f.serial), Name: r.Name, SizeBytes: r.SizeBytes, Layout: r.Layout,
		Durability: volume.Durability(r.Durability), UnflushedLoss: r.UnflushedLoss, Spread: r.Spread,
		State:        "detached",
		ReplaceAfter: api.ReplaceAfter{From: "default"}, Limit: api.Limit{BurstSeconds: 1},
		ScrubEverySeconds: *r.ScrubEverySeconds}
	for _, other := range r.ApartFrom {
		if f.volume(other) == nil {
			return api.Volume{}, fmt.Errorf("there is no volume %s", other)
		}
		v.Apart = append(v.Apart, other)
	}
	if r.Limit != nil {
		limit(&v.Limit, *r.Limit)
	}
	f.volumes = append(f.volumes, v)
	return v, nil
}

func limit(l *api.Limit, r api.SetLimit) {
	l.IOPS, l.BandwidthBytes, l.BurstSeconds = *r.IOPS, *r.BandwidthBytes, *r.BurstSeconds
	if l.BurstSeconds == 0 {
		l.BurstSeconds = 1
	}
}

func (f *fake) SetVolume(_ context.Context, name string, r api.SetVolume) (api.Volume, error) {
	if err := f.change("set volume %s", name); err != nil {
		return api.Volume{}, err
	}
	v := f.volume(name)
	if r.Limit != nil {
		limit(&v.Limit, *r.Limit)
	}
	if r.ScrubEverySeconds != nil {
		v.ScrubEverySeconds = *r.ScrubEverySeconds
	}
	if x := r.Export; x != nil {
		if v.Attachment != nil {
			return api.Volume{}, fmt.Errorf("volume %s is attached", name)
		}
		v.Exports = slices.DeleteFunc(slices.Clone(v.Exports), func(o api.ExportSetting) bool {
			return o.Kind == x.Kind
		})
		is := api.ExportSetting{Kind: x.Kind, Address: x.Address}
		if is.Address == "" {
			is.Address = volume.ExportKind(x.Kind).Host() + ":13260"
		}
		if !x.Open && volume.ExportKind(x.Kind).AsksSecret() {
			is.User = v.Name
		}
		if !x.Off {
			v.Exports = append(v.Exports, is)
		}
	}
	return *v, nil
}

func (f *fake) DeleteVolume(_ context.Context, name string, _ api.Wait) error {
	if err := f.change("delete volume %s", name); err != nil {
		return err
	}
	if f.volume(name).Attachment != nil {
		return fmt.Errorf("volume %s is attached", name)
	}
	f.volumes = slices.DeleteFunc(f.volumes, func(v api.Volume) bool { return v.ID == name || v.Name == name })
	return nil
}

func (f *fake) DefineDomain(_ context.Context, spec api.DomainSpec) (api.Domain, error) {
	if err := f.change("define domain %s", spec.Name); err != nil {
		return api.Domain{}, err
	}
	d := f.domain(spec.Name)
	if d == nil {
		f.domains = append(f.domains, api.Domain{Name: spec.Name, State: "stopped"})
		d = &f.domains[len(f.domains)-1]
	}
	if d.Host != "" {
		return api.Domain{}, fmt.Errorf("domain %s runs", spec.Name)
	}
	d.Spec = spec
	return *d, nil
}

func (f *fake) DeleteDomain(_ context.Context, name string) error {
	if err := f.change("delete domain %s", name); err != nil {
		return err
	}
	if f.domain(name).Host != "" {
		return fmt.Errorf("domain %s runs", name)
	}
	f.domains = slices.DeleteFunc(f.domains, func(d api.Domain) bool { return d.Name == name })
	return nil
}

func (f *fake) StartDomain(_ context.Context, name string, _ api.Wait) (api.Domain, error) {
	if err := f.change("start domain %s", name); err != nil {
		return api.Domain{}, err
	}
	d := f.domain(name)
	for _, host := range d.Spec.Hosts {
		if n := f.node(host); n != nil && n.State == api.NodeUp {
			return f.placed(d, host)
		}
	}
	return api.Domain{}, errors.New("no host can take it")
}

func (f *fake) placed(d *api.Domain, host string) (api.Domain, error) {
	for _, use := range d.Spec.Volumes {
		v := f.volume(use.Name)
		if v == nil || v.Attachment != nil {
			return api.Domain{}, fmt.Errorf("domain %s: volume %s is not there or attached", d.Name, use.Name)
		}
	}
	for _, use := range d.Spec.Volumes {
		f.volume(use.Name).Attachment = &api.Attachment{Host: host}
	}
	d.Host, d.State = host, "running"
	return *d, nil
}

func (f *fake) StopDomain(_ context.Context, name string, _ api.Wait) (api.Domain, error) {
	if err := f.change("stop domain %s", name); err != nil {
		return api.Domain{}, err
	}
	d := f.domain(name)
	for _, use := range d.Spec.Volumes {
		if v := f.volume(use.Name); v != nil {
			v.Attachment = nil
		}
	}
	d.Host, d.State = "", "stopped"
	return *d, nil
}

func (f *fake) Images(context.Context) ([]api.Image, error) { return slices.Clone(f.images), nil }

func (f *fake) AddImage(_ context.Context, name string, image api.NewImage) (api.ImageVersion, error) {
	if err := f.change("add image %s@%d", name, image.Version); err != nil {
		return api.ImageVersion{}, err
	}
	text, err := io.ReadAll(image.Content)
	if err != nil {
		return api.ImageVersion{}, err
	}
	v := api.ImageVersion{Version: image.Version, Comment: image.Comment, SizeBytes: int64(len(text)),
		Digest: string(volume.DigestOf(sha256.Sum256(text)))}
	f.images = append(f.images, api.Image{Name: name, Versions: []api.ImageVersion{v}})
	return v, nil
}
