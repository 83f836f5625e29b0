package host

import (
	"fmt"

	defined "github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// Images has the content that guests boot from; image.Keeper is one.
type Images interface {
	// Blob returns the file of a blob that a guest may be given, or what it waits for. It does not block.
	Blob(d volume.Digest) (path, waits string)
	// Sound returns an error unless the file is still the one that was verified. It may block.
	Sound(d volume.Digest) error
}

// noImages is a host without images.
type noImages struct{}

func (noImages) Blob(volume.Digest) (path, waits string) { return "", "this host keeps no images" }
func (noImages) Sound(volume.Digest) error               { return nil }

// boots is what a guest boots from, of images.
type boots struct {
	blobs []volume.Digest
	waits string // what it waits for, empty if all of it is here
}

// booted returns a machine that boots from files of this host in place of images.
func (c *core) booted(m defined.Machine, images []peer.ImageFile) (defined.Machine, boots) {
	var b boots
	digests := make(map[string]volume.Digest, len(images))
	for _, i := range images {
		digests[i.Image] = i.Digest
	}
	machine, _ := m.ReplaceImages(func(_ string, i defined.Image) (string, error) {
		path, why := "", "the coordinators know of none"
		if digest := digests[i.String()]; digest != "" {
			path, why = c.images.Blob(digest)
			b.blobs = append(b.blobs, digest)
		}
		if why != "" && b.waits == "" {
			b.waits = fmt.Sprintf("waits for image %s: %s", i, why)
		}
		return path, nil
	})
	return machine, b
}

// sound returns an error unless the files that a guest is about to get are what was verified.
func (h *Host) sound(a action) error {
	for _, d := range a.blobs {
		if err := h.options.Images.Sound(d); err != nil {
			return fmt.Errorf("domain %s: the file of its image %s: %w", a.name, d.Short(), err)
		}
	}
	return nil
}

// ImagesChanged has the host look again at what guests wait for. It does not block, and may be called before Run.
func (h *Host) ImagesChanged() {
	select {
	case h.events <- func() {}:
	default: // it has much to do and looks at everything then
	}
}
