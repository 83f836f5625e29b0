package guest

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseImage(t *testing.T) {
	for text, want := range map[string]Image{
		"debian": {Name: "debian"}, "debian@3": {"debian", 3}, "a-1.b@1": {"a-1.b", 1},
		"d@1000000000": {"d", ImageVersionMax},
	} {
		i, err := ParseImage(text)
		require.NoError(t, err, text)
		require.Equal(t, want, i)
		require.Equal(t, text, i.String())
	}
	for _, text := range []string{"", "@1", "Debian", "-d", "d-", "a/b", "d@", "d@0", "d@-1", "d@01", "d@+1", "d@1.0",
		"d@1000000001", "d@1@2", "d ", strings.Repeat("d", ImageNameMax+1)} {
		_, err := ParseImage(text)
		require.Error(t, err, text)
	}
}

func TestBoot_imagesBesidePaths(t *testing.T) {
	for file, good := range map[string]bool{
		"image:debian": true, "image:debian@3": true, "image:": false, "image:debian@0": false, "image:/x": false,
		"images:debian": false, "debian@3": false,
	} {
		err := Machine{Boot: &Boot{RootImage: file}}.Check()
		require.Equal(t, good, err == nil, "%s: %v", file, err)
	}
}

func machineOf() Machine {
	return Machine{Boot: &Boot{Kernel: "image:linux@2", Initrd: "/i", CommandLine: "image:linux@9",
		RootImage: "image:debian@3"}}
}

func TestMachine_images(t *testing.T) {
	require.Equal(t, []Image{{"linux", 2}, {"debian", 3}}, machineOf().Images())
	require.Empty(t, Machine{}.Images())
	same := Machine{Boot: &Boot{Kernel: "image:a@1", Initrd: "image:a@1", Firmware: "image:a@2"}}
	require.Equal(t, []Image{{"a", 1}, {"a", 2}}, same.Images())
}

func TestMachine_replaceImages(t *testing.T) {
	m := machineOf()
	got, err := m.ReplaceImages(func(field string, i Image) (string, error) {
		return "/" + field + "/" + i.String(), nil
	})
	require.NoError(t, err)
	require.Equal(t, &Boot{Kernel: "/boot.kernel/linux@2", Initrd: "/i", CommandLine: "image:linux@9",
		RootImage: "/boot.root_image/debian@3"}, got.Boot)
	require.Equal(t, machineOf(), m, "the machine itself stays as it is")
	_, err = m.ReplaceImages(func(string, Image) (string, error) { return "", errors.New("no") })
	require.Error(t, err)
}

func TestMachine_pins(t *testing.T) {
	m := machineOf()
	require.Equal(t, Pins{Kernel: "image:linux@2", RootImage: "image:debian@3"}, m.Pins())
	require.Equal(t, []Image{{"linux", 2}, {"debian", 3}}, m.Pins().Images())
	other := m.Pinned(Pins{Kernel: "image:linux@1", Initrd: "image:i@1", RootImage: "image:fedora@1"})
	require.Equal(t, Pins{Kernel: "image:linux@1", RootImage: "image:debian@3"}, other.Pins(),
		"a path and another image stay")
	require.Equal(t, machineOf(), m)
	require.Equal(t, Machine{}, Machine{}.Pinned(Pins{Kernel: "image:linux@1"}))
	for _, p := range []Pins{{}, {Kernel: "image:linux@1", Initrd: "image:i@1", RootImage: "image:fedora@1"},
		{Kernel: "/boot/linux", RootImage: "image:debian@9"}} {
		require.Equal(t, m.Pinned(p).Pins(), m.PinsWith(p))
		require.Equal(t, Pins{}, Machine{}.PinsWith(p))
	}
}
