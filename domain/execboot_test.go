package domain

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/guest"
)

// A command is told what its guest is to boot from, as it is told of its volumes.
func TestExec_bootsFromFiles(t *testing.T) {
	o := Order{Name: "web1", Driver: DriverExec, Settings: command(t, "/guest", "-r", "$HOLDFAST_BOOT_ROOT_IMAGE"),
		Machine: guest.Machine{Boot: &guest.Boot{RootImage: "/images/root", Kernel: "/k", CommandLine: "a b"}}}
	args, env, err := execCommand(o)
	require.NoError(t, err)
	require.Equal(t, []string{"/guest", "-r", "/images/root"}, args)
	require.Equal(t, "/k", env["HOLDFAST_BOOT_KERNEL"])
	require.Equal(t, "a b", env["HOLDFAST_BOOT_COMMAND_LINE"])
	require.NotContains(t, env, "HOLDFAST_BOOT_INITRD")
	require.Empty(t, BootVariables(nil))
}
