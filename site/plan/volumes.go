package plan

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/site"
	"github.com/holdfast-storage/holdfast/volume"
)

// volumes plans the volumes, but for their exports, which may want a guest to be stopped.
func (m *maker) volumes() {
	apart := m.wantedApart()
	made := make(map[string]bool)
	for _, g := range m.site.Guests {
		for _, v := range g.Volumes {
			now := m.volume[v.Name]
			if now == nil {
				m.createVolume(v, apart[v.Name], made)
				made[v.Name] = true
				continue
			}
			m.sameVolume(v, *now, apart[v.Name])
			m.limit(v, *now)
			m.scrubEvery(v, *now)
			m.replaceAfter(Step{Object: "volume/" + v.Name, ID: now.ID}, v.ReplaceAfter, now.ReplaceAfter)
		}
	}
}

// wantedApart returns with which others each volume of the site shares no node: that holds both ways, whoever said it.
func (m *maker) wantedApart() map[string][]string {
	pairs := make(map[string][]string)
	for _, g := range m.site.Guests {
		for _, v := range g.Volumes {
			for _, other := range v.ApartFrom {
				pairs[v.Name], pairs[other] = append(pairs[v.Name], other), append(pairs[other], v.Name)
			}
		}
	}
	return pairs
}

// createVolume plans a volume that there is not. It is made apart from those that there are by then; those that come
// later are made apart from it.
func (m *maker) createVolume(v site.Volume, apart []string, made map[string]bool) {
	r := api.CreateVolume{Name: v.Name, SizeBytes: v.SizeBytes, Layout: v.Layout.String(),
		Durability: string(v.Durability), UnflushedLoss: string(v.UnflushedLoss), LegsOn: v.LegsOn, Spread: v.Spread}
	seconds := int64(v.ScrubEvery / time.Second)
	r.ScrubEverySeconds = &seconds
	for _, other := range apart {
		if !slices.Contains(r.ApartFrom, other) && (m.volume[other] != nil || made[other]) {
			r.ApartFrom = append(r.ApartFrom, other)
		}
	}
	slices.Sort(r.ApartFrom)
	note := fmt.Sprintf("%s, %s", volume.FormatSize(v.SizeBytes), v.Layout)
	if v.Limit != (volume.Limit{}) {
		r.Limit = setLimit(v.Limit)
		note += ", " + v.Limit.String()
	}
	m.add(Step{Kind: CreateVolume, Object: "volume/" + v.Name, Note: note, Request: Request{Create: &r}})
	m.replaceAfter(Step{Object: "volume/" + v.Name}, v.ReplaceAfter, api.ReplaceAfter{From: "default"})
}

// sameVolume finds what is different of a volume and stays so for its whole life.
func (m *maker) sameVolume(v site.Volume, now api.Volume, apart []string) {
	// One that is made later is made apart from this one, and others are none of the site's business.
	is := slices.DeleteFunc(slices.Clone(m.apart[v.Name]), func(name string) bool { return m.wanted[name] == nil })
	apart = slices.DeleteFunc(slices.Clone(apart), func(name string) bool { return m.volume[name] == nil })
	changes := differ(nil, "size", volume.SizeText(now.SizeBytes), volume.SizeText(v.SizeBytes))
	changes = differ(changes, "layout", now.Layout, v.Layout.String())
	changes = differ(changes, "durability", string(now.Durability), string(v.Durability))
	if now.UnflushedLoss != "" { // else a release that does not tell
		changes = differ(changes, "unflushed_loss", now.UnflushedLoss, string(v.UnflushedLoss))
	}
	changes = differ(changes, "spread", named(now.Spread), named(v.Spread))
	changes = differ(changes, "apart_from", list(is), list(apart))
	if len(changes) > 0 {
		m.plan.Conflicts = append(m.plan.Conflicts, Conflict{Object: "volume/" + v.Name, Changes: changes,
			Hint: "a volume keeps what it was made with: put that into the site, or make another volume and copy"})
	}
}

// scrubEvery plans how often a volume is scrubbed by itself.
func (m *maker) scrubEvery(v site.Volume, now api.Volume) {
	seconds := int64(v.ScrubEvery / time.Second)
	if seconds != now.ScrubEverySeconds {
		is := time.Duration(now.ScrubEverySeconds) * time.Second
		m.add(Step{Kind: SetScrubEvery, Object: "volume/" + v.Name, ID: now.ID,
			Changes: []Change{{"scrub_every", every(is), every(v.ScrubEvery)}},
			Request: Request{Volume: &api.SetVolume{ScrubEverySeconds: &seconds}}})
	}
}

func every(d time.Duration) string {
	if d == 0 {
		return "never"
	}
	return d.String()
}

// limit plans how fast a volume's guest may be.
func (m *maker) limit(v site.Volume, now api.Volume) {
	is := volume.Limit{IOPS: now.Limit.IOPS, Bandwidth: now.Limit.BandwidthBytes,
		Burst: time.Duration(now.Limit.BurstSeconds * float64(time.Second))}
	want := v.Limit
	is.Burst, want.Burst = is.BurstTime(), want.BurstTime()
	if is != want {
		m.add(Step{Kind: SetLimit, Object: "volume/" + v.Name, ID: now.ID,
			Changes: []Change{{"limit", limitWords(is), limitWords(want)}},
			Request: Request{Volume: &api.SetVolume{Limit: setLimit(v.Limit)}}})
	}
}

// limitWords tells a burst of no limit, too, since it counts as soon as there is one.
func limitWords(l volume.Limit) string {
	if l.None() && l.BurstTime() != volume.LimitBurst {
		return fmt.Sprintf("none, burst %v", l.BurstTime())
	}
	return l.String()
}

func setLimit(l volume.Limit) *api.SetLimit {
	seconds := l.Burst.Seconds()
	return &api.SetLimit{IOPS: &l.IOPS, BandwidthBytes: &l.Bandwidth, BurstSeconds: &seconds}
}

// setExports returns the steps that give a volume its exports. now is nil if it is not there yet.
func (m *maker) setExports(v site.Volume, now *api.Volume) []Step {
	var steps []Step
	set := func(from *api.ExportSetting, to string, r api.SetExport) {
		s := Step{Kind: SetExport, Object: "volume/" + v.Name, Changes: []Change{{"export " + r.Kind, "none", to}},
			Request: Request{Volume: &api.SetVolume{Export: &r}}}
		if now != nil {
			s.ID = now.ID
		}
		if from != nil {
			s.Changes[0].From = exportWords(from.Kind, from.Address, from.User == "")
			s.Loses = losesOfExport(*from, r)
		}
		steps = append(steps, s)
	}
	var there []api.ExportSetting
	if now != nil {
		there = now.Exports
	}
	for _, is := range there {
		if !slices.ContainsFunc(v.Exports, func(x site.Export) bool { return string(x.Kind) == is.Kind }) {
			set(&is, "none", api.SetExport{Kind: is.Kind, Off: true})
		}
	}
	for _, x := range v.Exports {
		var from *api.ExportSetting
		kind := string(x.Kind)
		if i := slices.IndexFunc(there, func(is api.ExportSetting) bool { return is.Kind == kind }); i >= 0 {
			if sameExport(x, there[i]) {
				continue
			}
			from = &there[i]
		}
		set(from, exportWords(kind, x.Address, x.Open), api.SetExport{Kind: kind, Address: x.Address, Open: x.Open})
	}
	return steps
}

// losesOfExport says what guests lose of an export that there is when it is set anew. One with a secret gets another.
func losesOfExport(is api.ExportSetting, r api.SetExport) string {
	open := is.User == ""
	switch {
	case r.Off:
		return "guests reach it by that no more"
	case !volume.ExportKind(is.Kind).AsksSecret(), open && r.Open:
		return "its address: guests need the new one"
	case open:
		return "guests reach it without a secret no more: they need the new one"
	case r.Open:
		return "its secret: whoever is on its host reaches it without one"
	}
	return "its secret: guests need the new one"
}

// sameExport reports whether an export is as wanted. One whose address the cluster was to choose is, wherever the port.
func sameExport(x site.Export, is api.ExportSetting) bool {
	host, _, err := net.SplitHostPort(is.Address)
	there := is.Address == x.Address || x.Address == "" && err == nil && host == x.Kind.Host()
	return there && (!x.Kind.AsksSecret() || x.Open == (is.User == ""))
}

func exportWords(kind, address string, open bool) string {
	if address == "" {
		address = "an address of the cluster's choice"
	}
	if open && volume.ExportKind(kind).AsksSecret() {
		return address + ", open"
	}
	return address
}

// exportsByHand plans the exports of volumes that no domain of the site uses.
func (m *maker) exportsByHand() {
	used := make(map[string]bool)
	for _, g := range m.site.Guests {
		if g.Definition == nil {
			continue
		}
		for _, use := range g.Definition.Volumes {
			used[use.Name] = true
		}
	}
	for _, g := range m.site.Guests {
		for _, v := range g.Volumes {
			if !used[v.Name] {
				m.addDetached(m.setExports(v, m.volume[v.Name]), m.volume[v.Name])
			}
		}
	}
}

// addDetached adds steps that want a volume to be detached; who attached it by hand detaches it.
func (m *maker) addDetached(steps []Step, now *api.Volume) {
	for _, s := range steps {
		if now != nil && now.Attachment != nil && !now.Attachment.Maintenance {
			s.Held = fmt.Sprintf("`holdfast volume detach %s`: it is attached to %s", now.Name, now.Attachment.Host)
		}
		m.add(s)
	}
}

// deleteVolumes plans the end of volumes of which the site says nothing, if they were named.
func (m *maker) deleteVolumes() {
	for _, v := range m.actual.Volumes {
		if m.wanted[v.Name] != nil || v.State == stateDeleting {
			continue
		}
		size := volume.FormatSize(v.SizeBytes)
		if !m.allow.Prune || !slices.Contains(m.allow.DeleteVolumes, v.Name) {
			m.other("volume/"+v.Name, fmt.Sprintf("%s; --prune --delete-volume %s deletes it with all its data", size,
				v.Name))
			continue
		}
		s := Step{Kind: DeleteVolume, Object: "volume/" + v.Name, ID: v.ID,
			Loses: fmt.Sprintf("all data of the volume, %s, for good", size)}
		switch users := m.users(v.Name); {
		case len(users) > 0:
			s.Held = "domains that use it: " + strings.Join(users, ", ")
		case v.Attachment != nil && !v.Attachment.Maintenance && !m.detaches(v.Name):
			s.Held = fmt.Sprintf("`holdfast volume detach %s`: it is attached to %s", v.Name, v.Attachment.Host)
		}
		m.add(s)
	}
}

// open returns the step of a kind that the plan has for a domain, nil if it has none that can be done.
func (m *maker) open(kind Kind, name string) *Step {
	i := slices.IndexFunc(m.plan.Steps, func(s Step) bool {
		return s.Kind == kind && s.Object == "domain/"+name && s.Held == ""
	})
	if i < 0 {
		return nil
	}
	return &m.plan.Steps[i]
}

// detaches reports whether the domain that has a volume is stopped before.
func (m *maker) detaches(name string) bool {
	return slices.ContainsFunc(m.actual.Domains, func(d api.Domain) bool {
		return uses(d.Spec, name) && m.open(StopDomain, d.Name) != nil
	})
}

func uses(spec api.DomainSpec, name string) bool {
	return slices.ContainsFunc(spec.Volumes, func(u api.DomainVolume) bool { return u.Name == name })
}

// users returns the domains that use a volume, and still do when all that comes before is done.
func (m *maker) users(name string) []string {
	var users []string
	for _, d := range m.actual.Domains {
		spec := d.Spec
		if s := m.open(RedefineDomain, d.Name); s != nil {
			spec = *s.Request.Domain
		}
		if uses(spec, name) && m.open(DeleteDomain, d.Name) == nil {
			users = append(users, d.Name)
		}
	}
	return users
}
