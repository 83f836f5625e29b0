package domain

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/template"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/volume"
)

//go:embed libvirt.xml.tmpl
var libvirtTemplate string

// libvirtGuest is what a template of a libvirt guest is filled with.
type libvirtGuest struct {
	Name, UUID  string
	Type        string // kvm, or qemu for emulation
	Machine     string
	VCPUs       int
	MemoryBytes int64
	Boot        guest.Boot
	Interfaces  []guest.Interface
	Disks       []libvirtDisk
	// The socket of the first serial line, and the file that keeps what the guest writes to it.
	ConsoleSocket, ConsoleLog string
	// TokenName and Token are to be in the environment of the guest's process: by that it is found.
	TokenName, Token string
}

// libvirtDisk is one disk, in the order that the guest sees: an image that is only read, or the export of a volume.
type libvirtDisk struct {
	Device         string // vda …
	Boot           int    // place in the order in which firmware looks for a boot loader, from 1
	Image          string // file; empty for a volume
	Volume         string // its name; empty for an image
	Socket, Export string
	Delay          int // seconds that requests wait while it is away; 0 = they fail
}

// libvirtXML makes the XML of a guest, and holds it against what must be in it whatever the template says.
func libvirtXML(o Order, s libvirtSettings, token string) (string, error) {
	text, from := libvirtTemplate, "the built-in template"
	if s.Template != "" {
		own, err := os.ReadFile(s.Template)
		if err != nil {
			return "", fmt.Errorf("libvirt template: %w", err)
		}
		text, from = string(own), s.Template
	}
	fill, err := template.New("guest").Funcs(template.FuncMap{"xml": escapeXML}).Option("missingkey=error").Parse(text)
	if err != nil {
		return "", fmt.Errorf("libvirt template %s: %w", from, err)
	}
	g, err := libvirtGuestOf(o, s, token)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := fill.Execute(&out, g); err != nil {
		return "", fmt.Errorf("libvirt template %s: %w", from, err)
	}
	if err := g.check(out.Bytes()); err != nil {
		return "", fmt.Errorf("libvirt template %s: %w", from, err)
	}
	return out.String(), nil
}

func libvirtGuestOf(o Order, s libvirtSettings, token string) (libvirtGuest, error) {
	g := libvirtGuest{
		Name: o.Name, UUID: s.UUID, Type: map[bool]string{true: "kvm", false: "qemu"}[s.Accelerator == "kvm"],
		Machine: s.Machine, VCPUs: max(o.Machine.VCPUs, qemuVCPUs), MemoryBytes: o.Machine.MemoryBytes,
		Interfaces: o.Machine.Interfaces, ConsoleSocket: ConsoleSocket(o.Dir), ConsoleLog: ConsoleLog(o.Dir),
		TokenName: EnvToken, Token: token,
	}
	if g.MemoryBytes == 0 {
		g.MemoryBytes = qemuMemory
	}
	if o.Machine.Boot != nil {
		g.Boot = *o.Machine.Boot
	}
	add := func(d libvirtDisk) {
		d.Device, d.Boot = deviceAt(len(g.Disks)), len(g.Disks)+1
		g.Disks = append(g.Disks, d)
	}
	if g.Boot.RootImage != "" {
		add(libvirtDisk{Image: g.Boot.RootImage})
	}
	order, err := diskOrder(o.definition())
	if err != nil {
		return g, err
	}
	for _, i := range order {
		v := o.Volumes[i]
		e, err := nbdExport(v, s.ReconnectDelay)
		if err != nil {
			return g, err
		}
		add(libvirtDisk{Volume: v.Name, Socket: e.socket, Export: e.name, Delay: e.delay})
	}
	return g, nil
}

// check holds what a template made against what the rest counts on: that libvirt knows the guest by its name, that
// its process is found, and that it has its volumes and connects again only with those that are sure to be the same
// then.
func (g libvirtGuest) check(text []byte) error {
	var d struct {
		XMLName xml.Name `xml:"domain"`
		Name    string   `xml:"name"`
		Env     []struct {
			Name  string `xml:"name,attr"`
			Value string `xml:"value,attr"`
		} `xml:"http://libvirt.org/schemas/domain/qemu/1.0 commandline>env"`
		Disks []struct {
			Source struct {
				Name string `xml:"name,attr"`
				Host struct {
					Socket string `xml:"socket,attr"`
				} `xml:"host"`
				Reconnect []struct {
					Delay string `xml:"delay,attr"`
				} `xml:"reconnect"`
			} `xml:"source"`
		} `xml:"devices>disk"`
	}
	decoder := xml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&d); err != nil {
		return fmt.Errorf("what it makes is no XML of a domain: %w", err)
	}
	var more struct{}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return errors.New("what it makes has more behind the domain")
	}
	if strings.TrimSpace(d.Name) != g.Name {
		return fmt.Errorf("the domain's name is %q: want <name>{{xml .Name}}</name>", d.Name)
	}
	found := false
	for _, e := range d.Env {
		found = found || e.Name == g.TokenName && e.Value == g.Token
	}
	if !found {
		return errors.New("the guest's process could not be found: want <qemu:commandline><qemu:env " +
			"name='{{.TokenName}}' value='{{.Token}}'/></qemu:commandline>")
	}
	for _, want := range g.Disks {
		if want.Image != "" {
			continue
		}
		found := false
		for _, disk := range d.Disks {
			if disk.Source.Host.Socket != want.Socket || disk.Source.Name != want.Export {
				continue
			}
			found = true
			for _, again := range disk.Source.Reconnect {
				if want.Delay == 0 && again.Delay != "0" {
					return fmt.Errorf("volume %s has only its plain name, by which the guest would go on with "+
						"whatever is there when it connects again: want "+
						"{{if .Delay}}<reconnect delay='{{.Delay}}'/>{{end}}",
						want.Volume)
				}
			}
		}
		if !found {
			return fmt.Errorf("the export %s at %s is no disk of it: want a disk for each of {{range .Disks}}",
				want.Export, want.Socket)
		}
	}
	return nil
}

// libvirtIsOurs reports whether the XML of a domain, as libvirt tells it, is of a guest of this domain and this host:
// it has a token, and the console in the domain's directory. Another cluster may have a guest of that name here. A
// template of one's own may leave the console out, so there the token has to do.
func libvirtIsOurs(text string, o Order, s libvirtSettings) bool {
	if !strings.Contains(text, EnvToken) {
		return false
	}
	if s.Template != "" {
		return true
	}
	var d struct {
		Consoles []struct {
			Path string `xml:"path,attr"`
		} `xml:"devices>serial>source"`
	}
	if err := xml.Unmarshal([]byte(text), &d); err != nil {
		return false
	}
	for _, c := range d.Consoles {
		if c.Path == ConsoleSocket(o.Dir) {
			return true
		}
	}
	return false
}

func escapeXML(s string) (string, error) {
	var b strings.Builder
	err := xml.EscapeText(&b, []byte(s))
	return b.String(), err
}

// uuidOf returns the UUID of a guest that names none: the same wherever and whenever it runs, since a guest may
// recognise itself by it, and another one for a guest of that name in another cluster. Without a salt it is that of a
// guest which was defined before there was one.
func uuidOf(salt, name string) string {
	from := "holdfast domain 1\x00" + name
	if salt != "" {
		from = "holdfast domain 2\x00" + salt + "\x00" + name // a name holds no zero byte, nor does a salt
	}
	sum := sha256.Sum256([]byte(from))
	var u volume.UUID
	copy(u[:], sum[:])
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80 // version 8: made by a rule of one's own (RFC 9562 §5.8)
	return u.String()
}

func isUUID(s string) bool {
	_, err := volume.ParseUUID(s)
	return err == nil
}
