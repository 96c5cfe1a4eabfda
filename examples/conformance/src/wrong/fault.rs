//! What can be wrong.

macro_rules! faults {
    ($($name:ident $says:literal,)*) => {
        /// One thing that a wrong backend does wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault {
            $(#[doc = $says] $name,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// What the backend does.
            #[must_use]
            pub const fn says(self) -> &'static str {
                match self {
                    $(Self::$name => $says,)*
                }
            }
        }
    };
}

faults! {
    NeverEnds "ending a secure VM does nothing",
    EndsOnceOnly "ending a normal VM is an error",
    EndsTheOther "ending a VM ends the other one too",
    AbilityVanishes "a secure VM has no ability to give up pages",
    SlotsShrink "a secure VM has one page less",
    HoldsMemory "the hypervisor cannot use its memory after the end of a VM",
    EndRevealsPages "ending a VM leaves plaintext in normal memory",
    LeaksFrames "ending a VM frees no secure memory",
    KeepsContent "freed secure memory is not wiped",
    SharingSurvives "what was shared is shared in the next life",
    KeyOfLifeStays "a VM has one key in all its lives",
    MovesAfterEnd "pages of a normal VM move",
    EntersTwice "a secure VM enters again",
    EntersUnasked "a VM enters for a CPU that did not ask",
    EntersForOthers "a VM enters for the CPU of another",
    RunsOn "the guest runs before entering has returned",
    AcceptsBadImages "a bad image is accepted",
    StaysAfterRefusal "a refused VM keeps its pages",
    RefusedGuestStops "the guest of a refused VM cannot run on",
    RefusesAsState "a bad image is refused as a wrong state",
    RefusesAtRandom "a bad image is refused as this or that",
    WishStays "a wish that was refused still stands",
    HaltsOnce "a CPU that halted cannot be run",
    NamesNextPage "a fault names the page behind",
    SkipsFaults "a guest goes on without its page when run again",
    FaultsTwice "a guest faults twice for one page",
    DropsFaultedStores "a store that faulted is not repeated",
    RepeatsOps "what the guest was told is done twice",
    ReadsAfterEnd "the guest of a VM that ended still reaches its pages",
    KeepsPages "paging out does nothing",
    FirstVersion "what comes back is what the page held at first",
    CutsTail "the last bytes of a page do not come back",
    InAgainWipes "paging in a secure page makes it zeros",
    InMakesPrivate "paging in a shared page makes it private",
    OutSealsAgain "paging out a sealed page seals it again",
    OutSealsShared "paging out a shared page seals it",
    OutTakesNeighbour "paging out a page takes the next one along",
    CountsNothing "the counts are zero",
    CountsSharedAsSecure "shared pages are counted as secure",
    DestroyLeavesHost "a page given up leaves its normal page",
    DestroyLeavesContent "a page given up keeps its content",
    DestroyIsForEver "a page given up cannot be used any more",
    TakesHostContent "an absent page is what the hypervisor left there",
    RangeTakesHostContent "a range of absent pages is what the hypervisor left there",
    ShareDropsContent "sharing forgets the content",
    ShareTakesNeighbour "sharing a page shares the next one",
    ShareAgainUnshares "sharing a shared page takes it back",
    UnshareStaysOpen "a page taken back stays where the hypervisor reads it",
    SaysShared "every page is said to be shared",
    SaysPrivate "no page is said to be shared",
    SharedSealedIsNoise "sharing a page that is out shows the sealed bytes",
    SharesUnserved "a page is shared although nobody accepted it",
    AcceptsUnasked "the hypervisor shares what the guest did not ask to share",
    SharedByPaging "a page that went out and in is shared",
    WithdrawsPrivate "a private page can be withdrawn",
    WithdrawWipes "withdrawing a page wipes it",
    WithdrawIsNothing "withdrawing does nothing",
    WithdrawnIsReached "the guest reaches a withdrawn page",
    WithdrawTwiceShares "withdrawing a page again brings it back",
    WithdrawnGoesOut "paging out seals a withdrawn page",
    StoresThrough "what the guest stores goes to normal memory too",
    StoresElsewhere "what the guest stores goes to a normal page of the other VM too",
    SealsHeadInClear "the first half of a sealed page is in clear",
    LoadsHost "the guest reads normal memory when the hypervisor wrote there",
    OneMemory "both VMs have one memory",
    MovesBoth "paging out a page moves the other VM's too",
    SharesBoth "sharing a page shares the other VM's too",
    TakesAnything "any bytes are taken for a sealed page",
    ChecksHead "only the first half of a sealed page is checked",
    TakesOtherAddress "a sealed page is taken at any address",
    TakesOldVersions "an older version is taken",
    TakesSameContent "an older version of the same content is taken",
    TakesOtherVm "a sealed page of the other VM is taken",
    TakesOtherLife "a page sealed in another life is taken",
    TakesZeros "a page of zeros is taken",
    TakesHalves "two halves of two versions are taken",
    ForgetsAfterRefusal "after a refusal the right bytes are refused",
    RefusedIsGone "a refused page is not sealed any more",
    RefusedIsZero "a guest whose page is refused goes on with zeros",
    RefusesAsArgument "a changed page is refused as a wrong argument",
    OneStream "one key stream for all pages of a VM",
    OneStreamACall "one key stream for the pages of one call",
    StreamOfThePage "a page has the same key stream each time",
    SameBytesAgain "a page of the same content is sealed to the same bytes",
    OneKey "both VMs have one key",
    EqualBlocks "equal blocks are sealed to equal blocks",
    TakesNoSlot "pages in no slot are success",
    NoSlotIsState "pages in no slot are refused as a wrong state",
    StateOfNoSlot "a page in no slot is absent",
    NoEndIsFine "a range without end is success",
    RefusalWipes "an argument that is refused wipes a page",
    ErrorsShowMemory "an error shows the bytes that were refused",
    ErrorsCount "an error says another thing each time",
    HidesCodes "an error of the machine shows no number",
    DoneIsZero "a range that stops says nothing is done",
    DoneIsMore "a range that stops says one page more is done",
    StopIsFinal "a range that stopped never goes on",
    UndoesRange "a range that stops takes back what was done",
    StopsAtShared "a range stops at a shared page",
    EmptyIsError "a range without pages is an error",
    MovesBeforeLooking "a range with a page in no slot moves the pages before it",
    DestroySkipsSealed "sealed pages are not given up",
    DestroyTakesNext "the page behind a range is given up too",
    LosesStores "a store beside a page-out is lost",
    LosesRanges "of two ranges that move at once one is lost",
    PanicsBeside "a page-out beside another one is fatal",
    FatalBesideEnd "a page that moves beside the end is fatal",
    CountsBesideAreOff "counts are off while pages move",
    NeverFull "there is room without end",
    FullIsBusyState "without room a page is refused as a wrong state",
    FullTakesPage "a page without room counts as secure",
    FullRangeLies "a range without room says that all but one page are done",
    StaysFull "a page that went out makes no room",
    NoLastPage "the last page of a slot is refused",
    OnePageAccess "an access across pages reaches the first only",
    NoRefusals "the backend names no image that must be refused",
}
