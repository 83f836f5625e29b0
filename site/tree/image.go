package tree

import (
	"fmt"
	"path"
	"path/filepath"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/site"
	"github.com/holdfast-storage/holdfast/volume"
)

// imagesFile is global/images.yaml.
type imagesFile struct {
	Images []imageFile `yaml:"images"`
}

type imageFile struct {
	Name     string        `yaml:"name"`
	Versions []versionFile `yaml:"versions"`
}

type versionFile struct {
	Version int    `yaml:"version"`
	Digest  string `yaml:"digest"`
	File    string `yaml:"file"`
	Comment string `yaml:"comment"`
}

// images reads which versions of images there are to be. A tree may have none.
func (r *reader) images() {
	file := path.Join(dirGlobal, fileImages)
	if !r.has(file) {
		return
	}
	var f imagesFile
	if !r.fill(file, &f) {
		return
	}
	seen := make(map[guest.Image]bool)
	for i, image := range f.Images {
		at := fmt.Sprintf("images[%d]", i)
		if named, err := guest.ParseImage(image.Name); err != nil || named.Version != 0 {
			r.place(file, guest.Faultf(at+".name", "%q is no name of an image", image.Name))
		}
		for k, v := range image.Versions {
			at := fmt.Sprintf("%s.versions[%d]", at, k)
			named := guest.Image{Name: image.Name, Version: v.Version}
			switch err := volume.Digest(v.Digest).Check(); {
			case v.Version < 1 || v.Version > guest.ImageVersionMax:
				r.place(file, guest.Faultf(at+".version", "%d: a version has a number from 1", v.Version))
			case seen[named]:
				r.place(file, guest.Faultf(at+".version", "%s is there twice", named))
			case err != nil:
				r.place(file, guest.Faultf(at+".digest", "%v", err))
			}
			seen[named] = true
			if v.File != "" && !filepath.IsAbs(v.File) {
				v.File = filepath.Join(r.name, filepath.FromSlash(v.File))
			}
			r.site.Images = append(r.site.Images, site.Image{Name: image.Name, Version: v.Version,
				Digest: volume.Digest(v.Digest), File: v.File, Comment: v.Comment})
		}
	}
}
