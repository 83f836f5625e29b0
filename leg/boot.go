package leg

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"strings"

	"github.com/holdfast-storage/holdfast/volume"
)

// DefaultBootIDFile holds the kernel's identity of this boot.
const DefaultBootIDFile = "/proc/sys/kernel/random/boot_id"

// ReadBootID reads the identity of this boot from a file, DefaultBootIDFile if path is empty.
func ReadBootID(path string) (string, error) {
	if path == "" {
		path = DefaultBootIDFile
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the boot id: %w", err)
	}
	id := strings.TrimSpace(string(text))
	if id == "" {
		return "", fmt.Errorf("read the boot id: %s is empty", path)
	}
	return id, nil
}

// bootIdentity names one boot and one mount: as long as it stays the same, what was in the page
// cache is there still (protocol-flush F, "Evidence of a kept cache"). A mount that went away took
// its cache along, whether or not it came back in the same boot.
func bootIdentity(bootID string, m Mount) volume.UUID {
	text := append([]byte("holdfast boot 1\x00"), bootID...)
	text = append(text, 0)
	text = binary.BigEndian.AppendUint64(text, m.Device)
	text = binary.BigEndian.AppendUint64(text, m.ID)
	sum := sha256.Sum256(text)
	return volume.UUID(sum[:16])
}
