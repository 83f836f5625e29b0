package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/site"
)

// NewImage is a version of an image that is to be added from a file.
type NewImage struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	Digest  string `json:"digest"`
	File    string `json:"file"`
	Comment string `json:"comment,omitempty"`
}

// images plans the versions of images that are not there, lower ones first: a number is given once. A version that is
// there with other content cannot be changed. What the site does not have stays.
func (m *maker) images() {
	wanted := slices.Clone(m.site.Images)
	slices.SortStableFunc(wanted, func(a, b site.Image) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	for _, w := range wanted {
		named := fmt.Sprintf("%s@%d", w.Name, w.Version)
		is, newest := m.imageVersion(w.Name, w.Version)
		switch {
		case is != nil && is.Digest != string(w.Digest):
			m.plan.Conflicts = append(m.plan.Conflicts, Conflict{Object: "image/" + named,
				Changes: []Change{{"digest", is.Digest, string(w.Digest)}},
				Hint:    "a version never changes: give the new content the next number"})
			continue
		case is != nil:
			continue
		case newest > w.Version:
			m.plan.Conflicts = append(m.plan.Conflicts, Conflict{Object: "image/" + named,
				Changes: []Change{{"version", fmt.Sprintf("%d is the newest", newest), fmt.Sprint(w.Version)}},
				Hint:    "numbers only grow: give it the next number, or take it out of the site"})
			continue
		}
		s := Step{Kind: AddImage, Object: "image/" + named, Note: "from " + w.File, Request: Request{Image: &NewImage{
			Name: w.Name, Version: w.Version, Digest: string(w.Digest), File: w.File, Comment: w.Comment}}}
		if !m.actual.Files[w.File] {
			s.Note = ""
			s.Held = fmt.Sprintf("`holdfast image add %s FILE --number %d` with the file of %s", w.Name, w.Version,
				w.Digest)
		}
		m.add(s)
	}
}

// imageVersion returns what there is under a number, nil if nothing, and the newest number of the image.
func (m *maker) imageVersion(name string, number int) (is *api.ImageVersion, newest int) {
	for _, i := range m.actual.Images {
		if i.Name != name {
			continue
		}
		for k := range i.Versions {
			newest = max(newest, i.Versions[k].Version)
			if i.Versions[k].Version == number {
				is = &i.Versions[k]
			}
		}
	}
	return is, newest
}
