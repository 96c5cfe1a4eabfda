use uv_core::{EnterSecureMode, Error, ErrorKind, Exit, PageIn, SecureVm, Unsupported, Vcpu};

/// Runs a VM until its guest halts, then ends it; gives how often the guest became secure.
fn supervise<V: EnterSecureMode + PageIn>(
    vm: &V,
    cpu: &mut V::Cpu,
    mut serve: impl FnMut(&mut V::Cpu, <V::Cpu as Vcpu>::Arch) -> Result<(), V::Error>,
) -> Result<u32, V::Error> {
    let mut entered = 0;
    loop {
        match cpu.run()? {
            // The guest wants to be secure. After a refusal it goes on as a normal guest, and may ask again.
            Exit::EnterSecureMode => entered += u32::from(vm.enter_secure_mode(cpu).is_ok()),
            Exit::EnterAborted => vm.terminate()?,
            // What is only busy comes in when the guest faults again.
            Exit::PageMissing { gfn, .. } => match vm.page_in(gfn) {
                Err(error) if error.kind() == ErrorKind::Exhausted => make_room(vm, error)?,
                Err(error) if error.kind() != ErrorKind::Busy => return Err(error),
                _ => {}
            },
            // Not accepting would refuse.
            Exit::ShareRequest { pages, share } => {
                let sharing = vm.as_accept_sharing().ok_or(Unsupported)?;
                sharing.accept_sharing(pages, share).map_err(|stopped| stopped.error)?;
            }
            Exit::Halted => return vm.terminate().map(|()| entered),
            Exit::Arch(exit) => serve(cpu, exit)?,
            // An exit that this hypervisor is too old for.
            _ => return Err(Unsupported.into()),
        }
    }
}

/// Takes every page away that the machine gives: the guest faults on what it needs.
fn make_room<V: SecureVm>(vm: &V, full: V::Error) -> Result<(), V::Error> {
    let Some(out) = vm.as_page_out() else { return Err(full) };
    for (_, slot) in vm.mem_slots().iter() {
        out.page_out_range(slot.range()).map_err(|stopped| stopped.error)?;
    }
    Ok(())
}
