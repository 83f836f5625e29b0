package apply

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/site"
	"github.com/holdfast-storage/holdfast/site/plan"
	"github.com/holdfast-storage/holdfast/volume"
)

// addImage sends a file, if it is what the site says.
func addImage(ctx context.Context, c Client, s plan.Step, _ string) error {
	image := s.Request.Image
	f, err := os.Open(image.File)
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	if digest := volume.DigestOf([sha256.Size]byte(sum.Sum(nil))); string(digest) != image.Digest {
		return fmt.Errorf("the file %s has the digest %s, and the site says %s", image.File, digest, image.Digest)
	}
	_, err = c.AddImage(ctx, image.Name, api.NewImage{Content: f, Digest: image.Digest, SizeBytes: size,
		Version: image.Version, Comment: image.Comment})
	return err
}

// lookAtImages asks which images there are, and which files of the site are here. A site without images asks nothing:
// it may be one of a cluster of an older release.
func lookAtImages(ctx context.Context, c Client, s *site.Site, a *plan.Actual) error {
	if len(s.Images) == 0 {
		return nil
	}
	a.Files = make(map[string]bool)
	for _, i := range s.Images {
		info, err := os.Stat(i.File)
		a.Files[i.File] = err == nil && info.Mode().IsRegular()
	}
	var err error
	a.Images, err = c.Images(ctx)
	return err
}
