// Package inside is tests that run in the virtual machine of package v2guest; the tag
// v2guest builds them.
package inside
