//! The traits on what leads to a VM: `&V` and `Arc<V>`.

use alloc::sync::Arc;

use crate::{
    AcceptSharing, DestroyPages, EnterSecureMode, Gfn, MemSlots, PageCounts, PageIn, PageOut, PageRange, PageSize,
    PageState, RangeError, SecureVm, SharePages, VmState,
};

macro_rules! through {
    ($pointer:ty) => {
        impl<V: SecureVm + ?Sized> SecureVm for $pointer {
            fn page_size(&self) -> PageSize {
                (**self).page_size()
            }

            fn mem_slots(&self) -> MemSlots {
                (**self).mem_slots()
            }

            fn vm_state(&self) -> VmState {
                (**self).vm_state()
            }

            fn page_state(&self, gfn: Gfn) -> Result<PageState, Self::Error> {
                (**self).page_state(gfn)
            }

            fn page_counts(&self) -> Result<PageCounts, Self::Error> {
                (**self).page_counts()
            }

            fn terminate(&self) -> Result<(), Self::Error> {
                (**self).terminate()
            }

            fn as_page_out(&self) -> Option<&dyn PageOut<Error = Self::Error>> {
                (**self).as_page_out()
            }

            fn as_share_pages(&self) -> Option<&dyn SharePages<Error = Self::Error>> {
                (**self).as_share_pages()
            }

            fn as_accept_sharing(&self) -> Option<&dyn AcceptSharing<Error = Self::Error>> {
                (**self).as_accept_sharing()
            }

            fn as_destroy_pages(&self) -> Option<&dyn DestroyPages<Error = Self::Error>> {
                (**self).as_destroy_pages()
            }
        }

        impl<V: EnterSecureMode + ?Sized> EnterSecureMode for $pointer {
            type Cpu = V::Cpu;
            type Entry = V::Entry;

            fn enter_secure_mode(&self, cpu: &mut Self::Cpu) -> Result<Self::Entry, Self::Error> {
                (**self).enter_secure_mode(cpu)
            }
        }

        impl<V: PageIn + ?Sized> PageIn for $pointer {
            fn page_in_range(&self, range: PageRange) -> Result<(), RangeError<Self::Error>> {
                (**self).page_in_range(range)
            }
        }

        impl<V: PageOut + ?Sized> PageOut for $pointer {
            fn page_out_range(&self, range: PageRange) -> Result<(), RangeError<Self::Error>> {
                (**self).page_out_range(range)
            }
        }

        impl<V: SharePages + ?Sized> SharePages for $pointer {
            fn is_shared(&self, gfn: Gfn) -> Result<bool, Self::Error> {
                (**self).is_shared(gfn)
            }

            fn withdraw(&self, gfn: Gfn) -> Result<(), Self::Error> {
                (**self).withdraw(gfn)
            }
        }

        impl<V: AcceptSharing + ?Sized> AcceptSharing for $pointer {
            fn accept_sharing(&self, pages: PageRange, share: bool) -> Result<(), RangeError<Self::Error>> {
                (**self).accept_sharing(pages, share)
            }
        }

        impl<V: DestroyPages + ?Sized> DestroyPages for $pointer {
            fn destroy_range(&self, range: PageRange) -> Result<(), RangeError<Self::Error>> {
                (**self).destroy_range(range)
            }
        }
    };
}

through!(&V);
through!(Arc<V>);
