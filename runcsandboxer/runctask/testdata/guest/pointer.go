package main

import "unsafe"

func pointer(size *[4]uint16) unsafe.Pointer { return unsafe.Pointer(size) }
