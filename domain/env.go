package domain

import (
	"fmt"
	"strings"

	"github.com/holdfast-storage/holdfast/domain/guest"
)

// The variables of a guest's environment. Every process of a guest inherits EnvToken, by which
// they are all found again.
const (
	EnvDomain = "HOLDFAST_DOMAIN" // the domain's name
	EnvEpoch  = "HOLDFAST_EPOCH"  // the highest epoch of its volumes: it grows with every takeover
	EnvToken  = "HOLDFAST_DOMAIN_TOKEN"
)

// VolumeVariable returns the name of the variable that holds the URL of a volume: its name in
// capitals, with every other character than letters and digits as an underscore.
func VolumeVariable(volumeName string) string {
	upper := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, volumeName)
	return "HOLDFAST_VOLUME_" + upper + "_URL"
}

// BootVariables returns the variables that say what a guest boots from, of what its definition names: files on the
// host, and the kernel's command line.
func BootVariables(b *guest.Boot) map[string]string {
	vars := map[string]string{}
	if b == nil {
		return vars
	}
	for name, value := range map[string]string{"KERNEL": b.Kernel, "INITRD": b.Initrd, "ROOT_IMAGE": b.RootImage,
		"FIRMWARE": b.Firmware, "COMMAND_LINE": b.CommandLine} {
		if value != "" {
			vars["HOLDFAST_BOOT_"+name] = value
		}
	}
	return vars
}

// variables returns what an order adds to the environment. Two volumes whose names give the same
// variable are refused, since the guest would get the wrong disk.
func variables(o Order) (map[string]string, error) {
	vars := map[string]string{EnvDomain: o.Name}
	owner := map[string]string{}
	epoch := uint64(0)
	for _, v := range o.Volumes {
		name := VolumeVariable(v.Name)
		if other, taken := owner[name]; taken {
			return nil, fmt.Errorf("domain %s: volumes %s and %s share the variable %s: rename one of them",
				o.Name, other, v.Name, name)
		}
		owner[name], vars[name] = v.Name, v.URL
		epoch = max(epoch, uint64(v.Epoch))
	}
	vars[EnvEpoch] = fmt.Sprint(epoch)
	return vars, nil
}

// expand replaces $NAME and ${NAME} in text by the variables. Any other dollar sign stays as it is,
// so that a shell's own variables reach the shell.
func expand(text string, vars map[string]string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		name, length := leadingName(rest)
		if value, known := vars[name]; known {
			out.WriteString(value)
			text = rest[length:]
			continue
		}
		out.WriteByte('$')
		text = rest
	}
}

// leadingName returns the variable name that text begins with, NAME or {NAME}, and how many bytes
// it takes; an empty name when there is none.
func leadingName(text string) (name string, length int) {
	if braced, ok := strings.CutPrefix(text, "{"); ok {
		name, _, closed := strings.Cut(braced, "}")
		if !closed {
			return "", 0
		}
		return name, len(name) + 2
	}
	for length < len(text) && isNameByte(text[length]) {
		length++
	}
	return text[:length], length
}

func isNameByte(b byte) bool {
	return b == '_' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9'
}
