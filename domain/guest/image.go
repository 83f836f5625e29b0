package guest

import (
	"strconv"
	"strings"
)

// imageScheme begins a file of Boot that is an image of the cluster instead of a path on the host.
const imageScheme = "image:"

// The bounds of an image's name and of the number of a version.
const (
	ImageNameMax    = 63
	ImageVersionMax = 1_000_000_000
)

// Image names an image of the cluster, and which version of it.
type Image struct {
	Name    string
	Version int // 0 is the newest at the time of the definition: only a definition says it, the coordinators never do
}

// String returns NAME@VERSION, or NAME for an image without a version.
func (i Image) String() string {
	if i.Version == 0 {
		return i.Name
	}
	return i.Name + "@" + strconv.Itoa(i.Version)
}

// File returns how a definition says that a file of Boot is the image.
func (i Image) File() string { return imageScheme + i.String() }

// ParseImage reads NAME or NAME@VERSION. What is wrong is a *Fault without a path.
func ParseImage(text string) (Image, error) {
	name, number, versioned := strings.Cut(text, "@")
	i := Image{Name: name}
	if !imageName(name) {
		return i, Faultf("", "image name %q: want 1 to %d of a-z, 0-9, '-' and '.', a letter or digit at both ends",
			name, ImageNameMax)
	}
	if !versioned {
		return i, nil
	}
	version, err := strconv.Atoi(number)
	if err != nil || version < 1 || version > ImageVersionMax || strconv.Itoa(version) != number {
		return i, Faultf("", "version %q of image %s: want a number from 1, as in %s@3", number, name, name)
	}
	i.Version = version
	return i, nil
}

func imageName(s string) bool {
	for i, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case (c == '-' || c == '.') && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return s != "" && len(s) <= ImageNameMax
}

// imageOf returns the image that a file of Boot is, false if it is a path or nothing.
func imageOf(file string) (Image, bool) {
	text, is := strings.CutPrefix(file, imageScheme)
	if !is {
		return Image{}, false
	}
	i, err := ParseImage(text)
	return i, err == nil
}

// bootFile is one file of Boot, with its field's name.
type bootFile struct {
	field string
	file  *string
}

// files returns the files of b, in the order in which a definition says them. They are those of b itself.
func (b *Boot) files() []bootFile {
	return []bootFile{{"kernel", &b.Kernel}, {"initrd", &b.Initrd}, {"root_image", &b.RootImage},
		{"firmware", &b.Firmware}}
}

// Images returns the images that the machine boots from, each once, in the order of the fields.
func (m Machine) Images() []Image {
	var all []Image
	if m.Boot == nil {
		return nil
	}
	for _, f := range m.Boot.files() {
		if i, is := imageOf(*f.file); is && !containsImage(all, i) {
			all = append(all, i)
		}
	}
	return all
}

func containsImage(all []Image, i Image) bool {
	for _, other := range all {
		if other == i {
			return true
		}
	}
	return false
}

// ReplaceImages returns a copy of the machine in which each file that is an image is what replace makes of it. The
// field is that of the definition, as in boot.kernel. It ends with the first error.
func (m Machine) ReplaceImages(replace func(field string, i Image) (string, error)) (Machine, error) {
	m = m.Clone()
	if m.Boot == nil {
		return m, nil
	}
	for _, f := range m.Boot.files() {
		i, is := imageOf(*f.file)
		if !is {
			continue
		}
		file, err := replace("boot."+f.field, i)
		if err != nil {
			return m, err
		}
		*f.file = file
	}
	return m, nil
}

// Pins are the images that a machine's files are pinned to, as its fields say them; empty for a path.
type Pins struct {
	Kernel    string `json:"kernel,omitempty"`
	Initrd    string `json:"initrd,omitempty"`
	RootImage string `json:"root_image,omitempty"`
	Firmware  string `json:"firmware,omitempty"`
}

func (p *Pins) fields() []*string { return []*string{&p.Kernel, &p.Initrd, &p.RootImage, &p.Firmware} }

// Images returns the images that are pinned, each once.
func (p Pins) Images() []Image {
	b := Boot{Kernel: p.Kernel, Initrd: p.Initrd, RootImage: p.RootImage, Firmware: p.Firmware}
	return Machine{Boot: &b}.Images()
}

// Pins returns what the machine is pinned to.
func (m Machine) Pins() Pins {
	var p Pins
	if m.Boot == nil {
		return p
	}
	to := p.fields()
	for k, f := range m.Boot.files() {
		if _, is := imageOf(*f.file); is {
			*to[k] = *f.file
		}
	}
	return p
}

// PinsWith returns the pins of Pinned(p), without making the copy.
func (m Machine) PinsWith(p Pins) Pins {
	pins := m.Pins()
	from := p.fields()
	for k, file := range pins.fields() {
		if have, want := *file, *from[k]; have != want && sameImage(have, want) {
			*file = want
		}
	}
	return pins
}

// sameImage reports whether two files are versions of one image.
func sameImage(have, want string) bool {
	a, is := imageOf(have)
	b, pinned := imageOf(want)
	return is && pinned && a.Name == b.Name
}

// Pinned returns a copy of the machine with other versions of the images that it boots from: those of p. A file that
// is a path, or another image in p, stays as it is.
func (m Machine) Pinned(p Pins) Machine {
	m = m.Clone()
	if m.Boot == nil {
		return m
	}
	from := p.fields()
	for k, f := range m.Boot.files() {
		if sameImage(*f.file, *from[k]) {
			*f.file = *from[k]
		}
	}
	return m
}
