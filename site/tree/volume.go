package tree

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/site"
	"github.com/holdfast-storage/holdfast/volume"
)

// volume returns what a file says of a volume; prefix leads to it. What is wrong is a *guest.Fault.
func (f volumeFile) volume(prefix string) (site.Volume, error) {
	v := site.Volume{Name: f.Name, Spread: f.Spread, ApartFrom: f.ApartFrom, LegsOn: f.LegsOn}
	wrong := func(field string, err error) error { return guest.Faultf(prefix+"."+field, "%v", err) }
	var err error
	if err = volume.CheckName("volume", f.Name); err != nil {
		return v, wrong("name", err)
	}
	if f.Size == "" {
		return v, guest.Faultf(prefix, "how large is volume %s? give it a size, as in size: 10G", f.Name)
	}
	if v.SizeBytes, err = volume.ParseSize(f.Size); err == nil {
		err = volume.CheckSize(v.SizeBytes)
	}
	if err != nil {
		return v, wrong("size", err)
	}
	if v.Layout, err = volume.ParseLayout(f.Layout); err != nil {
		return v, wrong("layout", err)
	}
	if v.Durability, err = volume.ParseDurability(f.Durability); err != nil {
		return v, wrong("durability", err)
	}
	v.UnflushedLoss = cmp.Or(volume.UnflushedLoss(f.UnflushedLoss), volume.LossWait)
	if v.UnflushedLoss != volume.LossWait && v.UnflushedLoss != volume.LossAccept {
		return v, guest.Faultf(prefix+".unflushed_loss", "%q: want %s or %s", f.UnflushedLoss, volume.LossWait,
			volume.LossAccept)
	}
	if !slices.Contains([]string{"", "zone", "rack", "node"}, f.Spread) {
		return v, guest.Faultf(prefix+".spread", "%q: want zone, rack or node", f.Spread)
	}
	if n := len(f.LegsOn); n > 0 && n != v.Layout.Legs() {
		return v, guest.Faultf(prefix+".legs_on", "%d nodes are named, the layout %s has %d legs", n, v.Layout,
			v.Layout.Legs())
	}
	if f.ScrubEvery != wordNever {
		if v.ScrubEvery, err = wholeSeconds(prefix+".scrub_every", f.ScrubEvery); err != nil {
			return v, err
		}
	}
	if v.ReplaceAfter, err = replaceAfter(prefix+".replace_after", f.ReplaceAfter); err != nil {
		return v, err
	}
	if v.Limit, err = f.Limit.limit(prefix + ".limit"); err != nil {
		return v, err
	}
	for i, x := range f.Exports {
		export, err := x.export(fmt.Sprintf("%s.exports[%d]", prefix, i), v.Exports)
		if err != nil {
			return v, err
		}
		v.Exports = append(v.Exports, export)
	}
	return v, nil
}

func (f limitFile) limit(prefix string) (volume.Limit, error) {
	l := volume.Limit{IOPS: f.IOPS}
	var err error
	if f.Bandwidth != "" {
		if l.Bandwidth, err = volume.ParseSize(strings.TrimSuffix(f.Bandwidth, "/s")); err != nil {
			return l, guest.Faultf(prefix+".bandwidth", "%v", err)
		}
	}
	if f.Burst != "" {
		if l.Burst, err = time.ParseDuration(f.Burst); err != nil {
			return l, guest.Faultf(prefix+".burst", "%q: want a time, as in 10s", f.Burst)
		}
	}
	if err := l.Check(); err != nil {
		return l, guest.Faultf(prefix, "%v", err)
	}
	return l, nil
}

// wordAuto stands for an address that the cluster chooses.
const wordAuto = "auto"

// export returns what a file says of an export, beside others of the volume.
func (f exportFile) export(prefix string, others []site.Export) (site.Export, error) {
	x := site.Export{Kind: volume.ExportKind(f.Kind), Address: f.Address, Open: f.Open}
	switch {
	case f.Address == "":
		return x, guest.Faultf(prefix, "where is it to be reached? give an address, as in 10.0.0.1:3261, or %s",
			wordAuto)
	case slices.ContainsFunc(others, func(o site.Export) bool { return o.Kind == x.Kind }):
		return x, guest.Faultf(prefix+".kind", "the volume has an export %s already", f.Kind)
	case f.Open && x.Kind.Proof() == volume.ProofCredential:
		return x, guest.Faultf(prefix+".open", "an export %s is never open, but for who has a credential", f.Kind)
	}
	probe := volume.ExportSetting{Kind: x.Kind, Address: f.Address}
	if f.Address == wordAuto {
		x.Address, probe.Address = "", fmt.Sprintf("%s:%d", x.Kind.Host(), volume.ExportPortMin)
	}
	if !f.Open && x.Kind.AsksSecret() {
		probe.Secret = volume.ExportSecret(strings.Repeat("x", volume.ExportSecretMax))
	}
	if err := probe.Check(); err != nil {
		return x, guest.Faultf(prefix, "%v", err)
	}
	return x, nil
}
