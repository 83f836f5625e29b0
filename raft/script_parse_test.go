package raft

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/volume"
)

// parse makes a command of one line. The forms are those of the switch below; arguments in brackets
// may be left out.
func (s *script) parse(line string) Command {
	w := split(s, line)
	c := Command{At: at()}
	switch name := w.next(); name {
	case "init_cluster": // NAME [id=ID]
		n := w.next()
		id := volume.ClusterID{UUID: s.uuid(or(w.keys["id"], "id."+n))}
		c.InitCluster = &InitCluster{Name: n, ID: id, Incarnation: volume.ClusterID{UUID: s.uuid("inc")}}
	case "register": // NAME ROLE… [id=ID] [stores=S,…] [key=N] [gen=N] [zone=Z] [rack=R] [portal=ADDR]
		c.RegisterNode = &RegisterNode{Node: s.parseNode(w)}
	case "retire": // ID [by=ID] [stay]
		c.RetireNode = &RetireNode{Stay: w.flag("stay"), Node: s.node(w.next()), By: s.node(w.keys["by"])}
	case "keep_node": // ID
		c.KeepNode = &KeepNode{Node: s.node(w.next())}
	case "keep_leg": // VOLUME LEG
		c.KeepLeg = &KeepLeg{Volume: s.vol(w.next()), Leg: s.leg(w.next())}
	case "replace_after": // SECONDS|never [volume=VOLUME]
		after := time.Duration(-1)
		if word := w.next(); word != "never" {
			n, err := strconv.Atoi(word)
			require.NoError(s.t, err, line)
			after = time.Duration(n) * time.Second
		}
		c.SetReplaceAfter = &SetReplaceAfter{Volume: s.vol(w.keys["volume"]), After: after}
	case "scrub_every": // VOLUME every=MINUTES
		c.SetScrubEvery = &SetScrubEvery{Volume: s.vol(w.next()),
			Every: time.Duration(w.number("every")) * time.Minute}
	case "limit": // VOLUME [iops=N] [bandwidth=BYTES] [burst=MILLISECONDS]
		c.SetLimit = s.parseLimit(w)
	case "export": // VOLUME KIND [ADDRESS] [secret=S]; no address is off
		c.SetExport = &SetExport{Volume: s.vol(w.next()), Kind: volume.ExportKind(w.next()), Off: len(w.pos) == 0}
		if !c.SetExport.Off {
			c.SetExport.Address, c.SetExport.Secret = w.next(), volume.ExportSecret(w.keys["secret"])
		}
	case "credential": // VOLUME SERIES
		c.IssueCredential = &IssueCredential{Volume: s.vol(w.next()), Series: s.uuid("series." + w.next()),
			Until: time.Unix(1_000_000, 0)}
	case "revoke_credentials": // VOLUME SERIES
		c.RevokeCredentials = &RevokeCredentials{Volume: s.vol(w.next()), Series: s.uuid("series." + w.next())}
	case "remove_node": // ID
		c.RemoveNode = &RemoveNode{Node: s.node(w.next())}
	case "locate": // ID [zone=Z] [rack=R]
		l := &SetLocation{Node: s.node(w.next())}
		if zone, ok := w.keys["zone"]; ok {
			l.Zone = &zone
		}
		if rack, ok := w.keys["rack"]; ok {
			l.Rack = &rack
		}
		c.SetLocation = l
	case "set_cluster": // [over_provision=PERCENT]
		c.SetCluster = &SetCluster{}
		if w.keys["over_provision"] != "" {
			percent := int(w.number("over_provision"))
			c.SetCluster.OverProvision = &percent
		}
	case "create": // NAME LEG@NODE/STORE… layout:L [id=ID] [size=N] [durability=D] [loss=P] [every=H] [spread=S]
		// [apart=VOLUME,…] [iops=N] [clone=VOLUME group=G of=N]
		c.CreateVolume = s.parseCreate(w)
	case "provisioned": // VOLUME LEG
		c.LegProvisioned = &LegProvisioned{Volume: s.vol(w.next()), Leg: s.leg(w.next())}
	case "lost": // VOLUME LEG
		c.LegLost = &LegLost{Volume: s.vol(w.next()), Leg: s.leg(w.next()), Reason: "the disk is empty"}
	case "delete_volume": // VOLUME
		c.DeleteVolume = &DeleteVolume{Volume: s.vol(w.next())}
	case "leg_deleted": // LEG
		c.LegDeleted = &LegDeleted{Leg: s.leg(w.next())}
	case "rebalance": // REQUEST
		c.RequestRebalance = &RequestRebalance{Request: s.uuid(w.next())}
	case "end_rebalance": // REQUEST
		c.EndRebalance = &EndRebalance{Request: s.uuid(w.next()), Reason: "a script"}
	case "replace": // VOLUME OLD NEW@NODE/STORE [ordered]
		c.ReplaceLeg = &ReplaceLeg{Ordered: w.flag("ordered"), Volume: s.vol(w.next()), Old: s.leg(w.next()),
			New: s.parseLeg(w.next(), 0)}
	case "raise_version": // VERSION
		to, err := strconv.Atoi(w.next())
		require.NoError(s.t, err)
		c.RaiseVersion = &RaiseVersion{To: to}
	case "event": // SEVERITY OBJECT KIND
		e := Event{Severity: w.next(), Object: w.next(), Kind: w.next(), Message: "a word"}
		c.RecordEvent = &RecordEvent{Event: e}
	default:
		if !s.parseRestore(&c, name, w) && !s.parseAttach(&c, name, w) &&
			!s.parseDomain(&c, name, w) && !s.parseScrub(&c, name, w) && !s.parseTrust(&c, name, w) &&
			!s.parseOperation(&c, name, w) && !s.parseDrill(&c, name, w) &&
			!s.parseImages(&c, name, w) && !s.parseClone(&c, name, w) {
			s.t.Fatalf("unknown command %q", line)
		}
	}
	require.Empty(s.t, w.pos, line)
	return c
}

// parseAttach reads the commands of attachments.
func (s *script) parseAttach(c *Command, name string, w *words) bool {
	epoch := func() volume.Epoch { return volume.Epoch(w.number("e")) }
	switch name {
	case "begin": // VOLUME HOST ID [takeover] [maintenance] [filling] [accept] [after=E] [renews=ID]
		c.BeginAttach = &BeginAttach{
			Takeover: w.flag("takeover"), Maintenance: w.flag("maintenance"), AcceptLoss: w.flag("accept"),
			Filling: w.flag("filling"),
			Volume:  s.vol(w.next()), Host: s.node(w.next()), AttachID: s.attach(w.next()),
			After: volume.Epoch(w.number("after")), Renews: s.attach(w.keys["renews"]),
		}
	case "fence": // VOLUME LEG e=E [lossy] [set_back] [instance=N] and what the label says otherwise, see parseReport
		c.RecordFence = s.parseFence(w, epoch())
	case "activate": // VOLUME e=E [waited]
		c.Activate = &Activate{Waited: w.flag("waited"), Volume: s.vol(w.next()), Epoch: epoch()}
	case "remove": // VOLUME LEG e=E seen=C [set_back] [seqs=LEG:N,…]
		c.RemoveLeg = &RemoveLeg{SetBack: w.flag("set_back"), Volume: s.vol(w.next()), Leg: s.leg(w.next()),
			Epoch:   epoch(),
			SeenCfg: volume.CfgVer(w.number("seen")), Reason: "no answer", Seqs: s.parseSeqs(w)}
	case "add": // VOLUME LEG e=E c=C [instance=N] [store=S]
		c.AddLeg = &AddLeg{Volume: s.vol(w.next()), Leg: s.leg(w.next()), Epoch: epoch(),
			CfgVer: volume.CfgVer(w.number("c")), Instance: w.number("instance")}
		if _, l := s.state.LegByID(c.AddLeg.Leg); l != nil {
			c.AddLeg.Store = l.Store
		}
		if store := w.keys["store"]; store != "" {
			c.AddLeg.Store = s.store(store)
		}
	case "copied": // VOLUME LEG e=E c=C [instance=N] [upto=MIB] [since=C] [seqs=LEG:N,…]
		c.ConfirmCopy = &ConfirmCopy{Volume: s.vol(w.next()), Leg: s.leg(w.next()), Epoch: epoch(),
			CfgVer: volume.CfgVer(w.number("c")), Instance: w.number("instance"),
			Upto: int64(w.number("upto")) << 20, Since: volume.CfgVer(w.number("since")), Seqs: s.parseSeqs(w)}
		if _, l := s.state.LegByID(c.ConfirmCopy.Leg); l != nil {
			c.ConfirmCopy.Store = l.Store
		}
	case "confirm": // VOLUME e=E c=C [seqs=LEG:N,…]
		c.ConfirmConfig = &ConfirmConfig{Volume: s.vol(w.next()), Epoch: epoch(),
			CfgVer: volume.CfgVer(w.number("c")), Seqs: s.parseSeqs(w)}
	case "request_detach": // VOLUME [e=E]
		c.RequestDetach = &RequestDetach{Volume: s.vol(w.next()), Epoch: epoch()}
	case "detach": // VOLUME e=E [clean] [seqs=LEG:N,…]
		c.Detach = &Detach{Clean: w.flag("clean"), Volume: s.vol(w.next()), Epoch: epoch(), Seqs: s.parseSeqs(w)}
	default:
		return false
	}
	return true
}

// parseSeqs reads how far labels have come.
func (s *script) parseSeqs(w *words) (seqs []volume.LegSeq) {
	for _, word := range w.list("seqs") {
		leg, seq, _ := strings.Cut(word, ":")
		n, err := strconv.ParseUint(seq, 10, 64)
		require.NoError(s.t, err, w.line)
		seqs = append(seqs, volume.LegSeq{Leg: s.leg(leg), Seq: n})
	}
	return seqs
}

// parseRestore reads the commands of a restored cluster, and of operators who decide.
func (s *script) parseRestore(c *Command, name string, w *words) bool {
	switch name {
	case "freeze": // VOLUME
		c.FreezeVolume = &FreezeVolume{Volume: s.vol(w.next())}
	case "unfreeze": // VOLUME [no_reason]
		c.Unfreeze = &Unfreeze{Reason: reason(w), Volume: s.vol(w.next())}
	case "promote": // VOLUME LEG [no_reason] [host_is_off]
		c.ForcePromote = &ForcePromote{Reason: reason(w), HostIsOff: w.flag("host_is_off"),
			Volume: s.vol(w.next()), Leg: s.leg(w.next())}
	case "note": // LEG [epoch=E] [cfgver=C]
		c.NoteLabel = &NoteLabel{Leg: s.leg(w.next()), Epoch: volume.Epoch(w.number("epoch")),
			CfgVer: volume.CfgVer(w.number("cfgver"))}
	case "adopt": // VOLUME LEG@NODE/STORE [slot=N] [epoch=E] [cfgver=C] [list=LEG,…], and what else the label says
		vol, leg := w.next(), s.parseLeg(w.next(), int(w.number("slot")))
		c.AdoptLeg = &AdoptLeg{Node: leg.Node, Store: leg.Store, Label: volume.Label{
			Incarnation: volume.ClusterID{UUID: s.uuid(or(w.keys["inc"], "inc"))}, VolumeID: s.vol(vol),
			VolumeName: or(w.keys["name"], vol), LegID: leg.ID, StoreID: leg.Store,
			DataGen: s.uuid(or(w.keys["gen"], "gen")),
			Layout:  volume.Mirror(2), Slot: leg.Slot, Durability: volume.DurabilityFlush, SizeBytes: 1 << 30,
			FenceEpoch: volume.Epoch(w.number("epoch")),
			Config:     volume.Config{CfgVer: volume.CfgVer(w.number("cfgver"))},
		}}
		label := &c.AdoptLeg.Label
		for _, id := range w.list("list") {
			label.Config.InSync = append(label.Config.InSync, s.leg(id))
		}
		if w.keys["size"] != "" {
			label.SizeBytes = int64(w.number("size"))
		}
		if store := w.keys["store"]; store != "" {
			label.StoreID = s.store(store)
		}
	case "end_rebuild":
		c.EndRebuild = &EndRebuild{}
	default:
		return false
	}
	return true
}

func reason(w *words) string {
	if w.flag("no_reason") {
		return ""
	}
	return "the disk of n2 burnt"
}

// parseScrub reads the commands of scrubs.
func (s *script) parseScrub(c *Command, name string, w *words) bool {
	epoch := volume.Epoch(w.number("e"))
	switch name {
	case "scrub": // VOLUME REQUEST [schedule] [rate=N] [e=E]
		by := ScrubByOperator
		if w.flag("schedule") {
			by = ScrubBySchedule
		}
		c.RequestScrub = &RequestScrub{Volume: s.vol(w.next()), Request: s.uuid(w.next()), By: by, Epoch: epoch,
			Rate: int64(w.number("rate"))}
	case "stop_scrub": // VOLUME
		c.StopScrub = &StopScrub{Volume: s.vol(w.next())}
	case "report": // VOLUME e=E id=N from=MIB next=MIB [complete] [legs=LEG:BAD:HEALED,…] [diverged=N] [unreadable=N]
		r := &ReportScrub{Complete: w.flag("complete"), Volume: s.vol(w.next()), Epoch: epoch, ID: w.number("id"),
			From: int64(w.number("from")) << 20, Next: int64(w.number("next")) << 20}
		r.Found.Diverged, r.Found.Unreadable = int64(w.number("diverged")), int64(w.number("unreadable"))
		for i := range r.Found.Diverged {
			r.Found.Ranges = append(r.Found.Ranges, ScrubRange{Off: r.From + i<<12, Len: 4096})
		}
		for _, word := range w.list("legs") {
			var bad, healed int64
			leg, counts, _ := strings.Cut(word, ":")
			_, err := fmt.Sscanf(counts, "%d:%d", &bad, &healed)
			require.NoError(s.t, err, w.line)
			r.Found.Legs = append(r.Found.Legs, ScrubbedLeg{Leg: s.leg(leg), Bad: bad, Healed: healed})
		}
		c.ReportScrub = r
	default:
		return false
	}
	return true
}

// parseDomain reads the commands of domains.
func (s *script) parseDomain(c *Command, name string, w *words) bool {
	switch name {
	case "define": // NAME [volumes=V,…] [hosts=H,…] [driver=D] [command=C] [settings=JSON] [root=FILE] [kernel=FILE]
		spec := DomainSpec{Name: w.next(), Driver: or(w.keys["driver"], "exec"), Hosts: w.list("hosts")}
		if spec.Driver == driverExec || w.keys["command"] != "" {
			spec.Exec = &ExecSpec{Command: []string{or(w.keys["command"], "/bin/guest")}}
		}
		if w.keys["settings"] != "" {
			spec.Settings = json.RawMessage(w.keys["settings"])
		}
		if w.keys["root"] != "" || w.keys["kernel"] != "" {
			spec.Machine.Boot = &guest.Boot{RootImage: w.keys["root"], Kernel: w.keys["kernel"]}
		}
		for _, v := range w.list("volumes") {
			spec.Volumes = append(spec.Volumes, DomainVolume{Name: v})
		}
		c.DefineDomain = &DefineDomain{ID: s.uuid("dom." + spec.Name), Spec: spec}
	case "delete_domain": // NAME
		c.DeleteDomain = &DeleteDomain{Name: w.next()}
	case "place": // NAME HOST run=N attach=ID,… [takeover] [silent=DURATION]
		p := &PlaceDomain{Takeover: w.flag("takeover"), Run: w.number("run"), Silent: w.duration("silent")}
		p.Name, p.Host = w.next(), s.node(w.next())
		for _, id := range w.list("attach") {
			p.Attach = append(p.Attach, s.attach(id))
		}
		c.PlaceDomain = p
	case "stop": // NAME [run=N] [reason=WORD]
		c.StopDomain = &StopDomain{Name: w.next(), Reason: w.keys["reason"]}
		if w.keys["run"] != "" {
			c.StopDomain.Run = w.number("run")
		}
	default:
		return false
	}
	return true
}

func (s *script) parseNode(w *words) Node {
	n := Node{Name: w.next(), API: "api:1", KeyGen: uint32(w.number("gen")), ChapKey: volume.NodeKey{1}}
	for _, role := range w.pos {
		n.Roles = append(n.Roles, Role(role))
		switch Role(role) {
		case RoleCoordinator:
			n.Raft = "raft:1"
		case RoleStorage:
			n.Portal = or(w.keys["portal"], "portal:1")
		}
	}
	w.pos = nil
	if key := w.keys["key"]; key != "" {
		n.ChapKey = volume.NodeKey{byte(w.number("key"))}
	}
	n.ID = s.node(or(w.keys["id"], n.Name))
	n.Location = Location{Zone: w.keys["zone"], Rack: w.keys["rack"]}
	for _, store := range w.list("stores") {
		n.Stores = append(n.Stores, Store{ID: s.store(store), Name: store})
	}
	return n
}

func (s *script) parseCreate(w *words) *CreateVolume {
	c := &CreateVolume{Name: w.next(), SizeBytes: 1 << 30, Durability: volume.Durability(w.keys["durability"]),
		UnflushedLoss: volume.UnflushedLoss(w.keys["loss"]), DataGen: s.uuid("gen"),
		ScrubEvery: time.Duration(w.number("every")) * time.Hour, Spread: Spread(w.keys["spread"]),
		Limit: volume.Limit{IOPS: int64(w.number("iops"))}}
	for _, name := range w.list("apart") {
		c.Apart = append(c.Apart, s.vol(name))
	}
	c.ID = s.vol(or(w.keys["id"], c.Name))
	c.Clone = s.parseCloneOf(w)
	if w.keys["size"] != "" {
		c.SizeBytes = int64(w.number("size"))
	}
	for _, word := range w.pos {
		if text, ok := strings.CutPrefix(word, "layout:"); ok {
			layout, err := volume.ParseLayout(strings.Replace(text, ":", "=", 1))
			require.NoError(s.t, err)
			c.Layout = layout
			continue
		}
		c.Legs = append(c.Legs, s.parseLeg(word, len(c.Legs)))
	}
	w.pos = nil
	return c
}

// parseLimit reads what is to be changed of a volume's limit.
func (s *script) parseLimit(w *words) *SetLimit {
	c := &SetLimit{Volume: s.vol(w.next())}
	number := func(key string) *int64 {
		if w.keys[key] == "" {
			return nil
		}
		n, err := strconv.ParseInt(w.keys[key], 10, 64)
		require.NoError(s.t, err)
		return &n
	}
	c.IOPS, c.Bandwidth = number("iops"), number("bandwidth")
	if ms := number("burst"); ms != nil {
		burst := time.Duration(*ms) * time.Millisecond
		c.Burst = &burst
	}
	return c
}

// parseLeg reads LEG@NODE/STORE.
func (s *script) parseLeg(word string, slot int) NewLeg {
	leg, place, _ := strings.Cut(word, "@")
	node, store, ok := strings.Cut(place, "/")
	require.True(s.t, ok, word)
	return NewLeg{ID: s.leg(leg), Node: s.node(node), Store: s.store(store), Slot: slot}
}

// parseFence makes a report of what the leg's label would say, changed by the keys epoch=, cfgver=,
// list=, seq=, attach=, volume=, leg=, store=, gen=, inc=.
func (s *script) parseFence(w *words, e volume.Epoch) *RecordFence {
	c := &RecordFence{Epoch: e, SetBack: w.flag("set_back")}
	c.Report.Lossy = w.flag("lossy")
	c.Volume, c.Leg = s.vol(w.next()), s.leg(w.next())
	c.Report.Instance = w.number("instance")
	label := &c.Report.Label
	*label = volume.Label{
		Incarnation: s.state.Cluster.Incarnation, VolumeID: c.Volume, LegID: c.Leg, DataGen: s.uuid("gen"),
		FenceEpoch: e, Layout: volume.Mirror(2), Config: volume.Config{CfgVer: volume.CfgVer(w.number("cfgver"))},
		Progress: w.number("seq"),
	}
	if v, l := s.state.LegByID(c.Leg); l != nil {
		label.StoreID = l.Store
		if v.Attach != nil {
			label.AttachID = v.Attach.ID
		}
	}
	for _, leg := range w.list("list") {
		label.Config.InSync = append(label.Config.InSync, s.leg(leg))
	}
	for key, value := range w.keys {
		switch key {
		case "epoch":
			label.FenceEpoch = volume.Epoch(w.number(key))
		case "attach":
			label.AttachID = s.attach(value)
		case "volume":
			label.VolumeID = s.vol(value)
		case "leg":
			label.LegID = s.leg(value)
		case "store":
			label.StoreID = s.store(value)
		case "gen":
			label.DataGen = s.uuid(value)
		case "inc":
			label.Incarnation = volume.ClusterID{UUID: s.uuid(value)}
		}
	}
	return c
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
